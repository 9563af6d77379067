"""Long reads in pieces: with a rollback journal a reader blocks every commit.

Each piece has its own transaction, and none is open between two of them. So a piece may be outdated
when the next one is read: code that changes something because of it checks again, in the
transaction of the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, literal_column, select, true, tuple_
from sqlmodel import SQLModel

from daemon.store.database import Database, table_of

LETTERS = 50
"""Letters in a piece, when all that decides where they go is read: about 5 ms, less than 100 on a
busy machine.
"""
ROWS = 3000
"""Rows in a piece that are read or searched one by one: about 20 ms."""
_PAIR = 2  # columns of an order of a value and the row number
COUNTED = 50_000
"""Rows in a piece that are only counted, in an index: about 5 ms."""


def row_number(kind: type[SQLModel]) -> ColumnElement[int]:
    """Return the rowid, which orders equal rows of an index in SQLite.

    With it as the last column of an order, no sort is needed. On PostgreSQL it is a column
    (`postgresql_schema`), and only equal rows are sorted.
    """
    return literal_column(f"{kind.__tablename__}.rowid", Integer)


def pieces(
    database: Database,
    order: Sequence[Any],
    *equal: ColumnElement[bool],
    since: object = None,
    until: object = None,
    size: int,
    newest_first: bool = False,
    kind: type[SQLModel] | None = None,
) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that split rows into pieces of at most `size`, in their order; some empty.

    With `newest_first`, in the opposite order; `until` then begins the walk. `kind` names the table
    where `order` is its row number alone.

    Only rows whose first column is from `since` to `until`. `order` are the columns of an index
    after those that `equal` fixes, and what makes them unique. Rows that are added meanwhile are in
    a piece if they come later in the order.
    """
    start: Any
    end: Any
    start, end = (until, since) if newest_first else (since, until)
    walk = _Walk(database, order, equal, size, newest_first=newest_first, kind=kind)
    yield from walk.conditions(start, end)


@dataclass(frozen=True)
class _Walk:
    """One walk through the rows."""

    database: Database
    order: Sequence[Any]
    equal: Sequence[ColumnElement[bool]]
    size: int
    newest_first: bool
    kind: type[SQLModel] | None

    def conditions(self, start: Any, end: Any) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions of the pieces, from `start` to `end` of the first column."""
        from_start, to_end, after = (le, ge, lt) if self.newest_first else (ge, le, gt)
        first, key = self.order[0], tuple_(*self.order)
        begins = true() if start is None else from_start(first, start)
        ends = true() if end is None else to_end(first, end)
        while found := self._last(begins, ends):
            if self._goes_on(found):
                # up to the many rows with an equal value, and then through them by row number:
                # of two columns SQLite takes the first, and would read all of them each time
                yield and_(*self.equal, begins, after(found[0], first))
                yield from self._alike(begins, found[0])
                begins = after(first, found[0])
            else:
                # one condition for each end: of two, SQLite would take the first, and read from
                # there
                yield and_(*self.equal, begins, to_end(key, found))
                begins = after(key, found)
        yield and_(*self.equal, begins, ends)

    def _alike(self, begins: ColumnElement[bool], value: Any) -> Iterator[ColumnElement[bool]]:
        """Yield pieces of the rows whose first column has this value."""
        to_end, after = (ge, gt) if not self.newest_first else (le, lt)
        alike, number = self.order[0] == value, self.order[1]
        begins = and_(begins, alike)
        while found := self._last(begins, true()):
            yield and_(*self.equal, begins, to_end(found[1], number))
            begins = and_(alike, after(number, found[1]))
        yield and_(*self.equal, begins)

    def _goes_on(self, found: tuple[Any, ...]) -> bool:
        """Whether so many rows as a piece has follow, equal in the first of two columns."""
        if len(self.order) != _PAIR or found[0] is None:
            return False
        after = lt if self.newest_first else gt
        return bool(self._last(and_(self.order[0] == found[0], after(self.order[1], found[1]))))

    def _last(
        self, begins: ColumnElement[bool], ends: ColumnElement[bool] | None = None
    ) -> tuple[Any, ...]:
        """Return the last row of the next piece; nothing if that is not full."""
        wanted = (
            select(*self.order)
            .where(*self.equal, begins, true() if ends is None else ends)
            .order_by(*(each.desc() if self.newest_first else each for each in self.order))
            .limit(1)
            .offset(self.size - 1)
        )
        with self.database.read_one() as connection:
            row = connection.execute(
                wanted.select_from(table_of(self.kind)) if self.kind else wanted
            ).first()
        return tuple(row) if row else ()
