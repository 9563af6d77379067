"""Long reads in pieces: with a rollback journal a reader blocks every commit.

Each piece has its own transaction, and none is open between two of them. So a piece may be outdated
when the next one is read: code that changes something because of it checks again, in the
transaction of the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import ge, le
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, literal_column, select, true, tuple_
from sqlmodel import SQLModel

from daemon.store.database import Database, table_of

LETTERS = 100
"""Letters in a piece, when all that decides where they go is read: about 10 ms, less than 100 on a
busy machine.
"""
ROWS = 3000
"""Rows in a piece that are read or searched one by one: about 20 ms."""
COUNTED = 50_000
"""Rows in a piece that are only counted, in an index: about 5 ms."""


def row_number(kind: type[SQLModel]) -> ColumnElement[int]:
    """Return the rowid, which orders equal rows of an index in SQLite.

    With it as the last column of an order, no sort is needed.
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
    """Yield conditions that split rows into pieces of at most `size`, in their order.

    With `newest_first`, in the opposite order; `until` then begins the walk. `kind` names the table
    where `order` is its row number alone.

    Only rows whose first column is from `since` to `until`. `order` are the columns of an index
    after those that `equal` fixes, and what makes them unique. Rows that are added meanwhile are in
    a piece if they come later in the order.
    """
    key = tuple_(*order)
    start: Any
    end: Any
    start, end = (until, since) if newest_first else (since, until)
    from_start, to_end = (le, ge) if newest_first else (ge, le)
    begins = true() if start is None else from_start(order[0], start)
    ends = true() if end is None else to_end(order[0], end)
    sorted_by = [each.desc() for each in order] if newest_first else order
    while True:
        last = (
            select(*order)
            .where(*equal, begins, ends)
            .order_by(*sorted_by)
            .limit(1)
            .offset(size - 1)
        )
        with database.read_one() as connection:
            found = connection.execute(last.select_from(table_of(kind)) if kind else last).first()
        if found is None:
            break
        # one condition for each end: of two, SQLite would take the first, and read from there
        yield and_(*equal, begins, to_end(key, tuple(found)))
        begins = key < tuple(found) if newest_first else key > tuple(found)
    yield and_(*equal, begins, ends)
