"""Numbers that triggers of the database keep, and the check that they are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func
from sqlalchemy import select as sql_select
from sqlmodel import SQLModel, col

from daemon.core.bookkeeping import RowCount
from daemon.core.model import Delivery, DeliveryState, Message
from daemon.store.database import Database, table_of
from daemon.store.pages import COUNTED, pieces, row_number

_MESSAGES = "messages"
_KEPT = sql_select(col(RowCount.what), col(RowCount.count)).where(col(RowCount.count) != 0)


class RowCounts:
    """How many letters there are, and deliveries by state."""

    def __init__(self, kept: Counter[str]) -> None:
        self.messages = kept[_MESSAGES]
        self.deliveries = {state: kept[_of(state)] for state in DeliveryState}


def read_row_counts(connection: Connection) -> RowCounts:
    """Return the numbers. The cost is the same, however many rows there are."""
    return RowCounts(_kept(connection))


def wrong_row_counts(database: Database) -> list[str]:
    """Count all rows, in pieces, and return which numbers are wrong, in words.

    None if rows come or go meanwhile: then the numbers cannot be compared.
    """
    kept = _read(database)
    found = {_MESSAGES: _counted(database, Message, (col(Message.fetched_at), row_number(Message)))}
    for state in DeliveryState:
        order = (col(Delivery.due_at), row_number(Delivery))
        found[_of(state)] = _counted(database, Delivery, order, col(Delivery.state) == state)
    if _read(database) != kept:
        return []
    return [
        f"{what}: {kept[what]} are recorded, {count} are there"
        for what, count in found.items()
        if kept[what] != count
    ]


def _read(database: Database) -> Counter[str]:
    with database.read_one() as connection:
        return _kept(connection)


def _of(state: DeliveryState) -> str:
    return f"deliveries.{state.value}"


def _kept(connection: Connection) -> Counter[str]:
    return Counter(dict(connection.execute(_KEPT).all()))


def _counted(
    database: Database, kind: type[SQLModel], order: Sequence[Any], *equal: ColumnElement[bool]
) -> int:
    found = 0
    counted = sql_select(func.count()).select_from(table_of(kind))
    for piece in pieces(database, order, *equal, size=COUNTED):
        with database.read_one() as connection:
            found += connection.execute(counted.where(piece)).scalar_one()
    return found
