"""Long walks over rows, in pieces: with a rollback journal a reader holds up every commit, so that no read may last.

Each piece is a transaction of its own, and between two of them none is open. So what a piece says
may no longer be true when the next one is read: whoever changes something by it looks again, in the
transaction that changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, literal_column, select, true, tuple_
from sqlmodel import SQLModel

from daemon.store.database import Database

LETTERS = 100
"""Letters in a piece of which everything is read that decides where they go: some 10 ms, and less
than 100 on a machine that is busy.
"""
ROWS = 3000
"""Rows in a piece that are read one by one, or looked at to find those that are meant: some 20 ms."""
COUNTED = 50_000
"""Rows in a piece that are only counted, in an index: some 5 ms."""


def row_number(kind: type[SQLModel]) -> ColumnElement[int]:
    """What orders rows that are equal in an index, in SQLite: with it last, a walk goes in the order of the index, without a sort."""
    return literal_column(f"{kind.__tablename__}.rowid", Integer)


def pieces(
    database: Database,
    order: Sequence[Any],
    *equal: ColumnElement[bool],
    since: object = None,
    until: object = None,
    size: int,
) -> Iterator[ColumnElement[bool]]:
    """Conditions that cut rows into pieces of up to `size`, in their order.

    Those whose first column is from `since` to `until`.

    `order` are the columns of an index, after those that `equal` makes equal, and what makes them
    unique. Rows that are added meanwhile are in a piece if they come later in the order.
    """
    key = tuple_(*order)
    begins = true() if since is None else order[0] >= since
    equal = equal if until is None else (*equal, order[0] <= until)
    while True:
        last = select(*order).where(*equal, begins).order_by(*order).limit(1).offset(size - 1)
        with database.read_one() as connection:
            found = connection.execute(last).first()
        if found is None:
            break
        yield and_(*equal, begins, key <= tuple(found))
        begins = key > tuple(found)  # alone: of two conditions, SQLite would begin at the first
    yield and_(*equal, begins)
