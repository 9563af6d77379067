"""How many letters came since some time, and when the newest of them did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from daemon.core.model import Message
from daemon.store.database import Database, table_of
from daemon.store.pages import COUNTED, pieces, row_number
from daemon.store.sql_words import words_of

_MESSAGES = table_of(Message)
_BY_ARRIVAL = (_MESSAGES.c.fetched_at, row_number(Message))


@dataclass(frozen=True, kw_only=True)
class ArrivalWindow:
    """The newest letters of a time."""

    start: datetime
    """When the first of them came."""
    letters: int
    """How many came since `start`."""
    all: int
    """How many came in the whole time."""


class Arrivals:
    """Counts letters by the time at which they came."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def window(self, since: datetime, most: int) -> ArrivalWindow:
        """Return where the newest `most` letters since then begin, or all of them if less came."""
        whole = self.count(since)
        if whole <= most:
            return ArrivalWindow(start=since, letters=whole, all=whole)
        first = (
            select(_MESSAGES.c.fetched_at)
            .where(_MESSAGES.c.fetched_at >= since)
            .order_by(_MESSAGES.c.fetched_at.desc())
            .limit(1)
            .offset(most - 1)
        )
        with self._database.read_one() as connection:
            start = connection.execute(first).scalar_one()
        return ArrivalWindow(start=start, letters=self.count(start), all=whole)

    def count(self, since: datetime, until: datetime | None = None) -> int:
        """Count letters that came from `since` to `until`, in pieces."""
        found = 0
        for piece in pieces(self._database, _BY_ARRIVAL, since=since, until=until, size=COUNTED):
            counted = select(func.count()).select_from(_MESSAGES).where(piece)
            with self._database.read_one() as connection:
                found += connection.execute(counted).scalar_one()
        return found

    def decided_again(self) -> int:
        """Return a number that changes when a letter is decided again."""
        with self._database.read_one() as connection:
            asked = words_of(connection).decided_again
            return int(connection.exec_driver_sql(asked).scalar() or 0)
