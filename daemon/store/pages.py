"""Long reads in pieces: with a rollback journal a reader blocks every commit.

Each piece has its own transaction, and none is open between two of them. So a piece may be outdated
when the next one is read: code that changes something because of it checks again, in the
transaction of the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, literal_column, select, true, tuple_
from sqlmodel import SQLModel

from daemon.store.database import Database

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
) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that split rows into pieces of at most `size`, in their order.

    Only rows whose first column is from `since` to `until` are in a piece. `order` is the columns
    of an index after those that `equal` fixes, and what makes them unique. Rows that are added
    meanwhile are in a piece if they come later in the order.
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
