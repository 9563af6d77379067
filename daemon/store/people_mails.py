"""Mails to people, of which rows are kept until they are sent: what all kinds have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, update
from sqlalchemy import select as sql_select

from daemon.core.awaited import Reminder
from daemon.core.bookkeeping import DeadlineWarning
from daemon.core.digests import Digest
from daemon.core.times import FIRST
from daemon.store.database import Database, table_of

MailRow = type[Reminder] | type[DeadlineWarning] | type[Digest]


def set_told(
    database: Database, kind: MailRow, these: ColumnElement[bool], now: datetime | None
) -> None:
    """Record that these rows were sent; without a time, that nothing was left to say of them."""
    _change(database, kind, these, {"told_at": now, "try_at": None, "last_error": None})


def set_put_off(
    database: Database,
    kind: MailRow,
    these: ColumnElement[bool],
    try_at: datetime,
    reason: str,
) -> None:
    """Record that these rows could not be sent, and when they are tried again."""
    attempts = table_of(kind).c.attempts + 1
    _change(database, kind, these, {"try_at": try_at, "attempts": attempts, "last_error": reason})


def _change(
    database: Database, kind: MailRow, these: ColumnElement[bool], values: dict[str, Any]
) -> None:
    """Change those of the rows that are still to be sent."""
    waits = table_of(kind).c.try_at.is_not(None)
    with database.write() as session:
        session.execute(update(table_of(kind)).where(these, waits).values(values))


def failing_mails(
    database: Database, kind: MailRow, mail: Any, *still: ColumnElement[bool]
) -> tuple[int, datetime | None, str]:
    """Return how many mails cannot be sent, since when, and the reason of one of them.

    `mail` is the column that the rows of one mail share; only rows that `still` holds of count.
    """
    rows = table_of(kind).c
    wanted = sql_select(
        func.count(func.distinct(mail)), func.min(rows.planned_at), func.max(rows.last_error)
    ).where(rows.try_at >= FIRST, rows.attempts > 0, *still)
    with database.read_one() as connection:
        count, since, reason = connection.execute(wanted).one()
    return count, since, reason or ""
