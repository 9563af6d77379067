"""On which days each sender has sent letters. Read-only."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import func, select

from daemon.core.model import Message
from daemon.store.database import Database, table_of
from daemon.store.pages import ROWS, pieces, row_number

_MESSAGES = table_of(Message)
_BY_ARRIVAL = (_MESSAGES.c.fetched_at, row_number(Message))
_DAY = len("2026-01-31")


class Sender(NamedTuple):
    """Who sends letters to whom; confidential post apart, so that each has its own history."""

    mailbox: str
    party: str
    number: str
    confidential: bool


@dataclass
class SenderDays:
    """What one sender has sent."""

    name: str = ""
    """What it calls itself."""
    _ordinals: array[int] = field(default_factory=lambda: array("i"))  # four bytes for each day

    def add(self, day: int, name: str) -> None:
        """Add a day, which may be there already."""
        self._ordinals.append(day)
        self.name = name or self.name

    def days(self) -> Iterator[date]:
        """Yield the days, some of them perhaps several times."""
        return map(date.fromordinal, self._ordinals)


class Senders:
    """Senders that have an organisation number, by their letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def days(self, since: datetime) -> Mapping[Sender, SenderDays]:
        """Return the days of all letters that came since then, in UTC, by sender.

        A letter counts on the day it was published, or, if that is dated later, on which it came.
        Reads every letter of that time, in pieces; memory depends on senders and their days.
        """
        found: dict[Sender, SenderDays] = {}
        for piece in pieces(self._database, _BY_ARRIVAL, since=since, size=ROWS):
            with self._database.read_one() as connection:
                rows = connection.execute(_WANTED.where(piece)).all()
            for mailbox, party, number, confidential, day, name in rows:
                key = Sender(mailbox, party, number, bool(confidential))
                found.setdefault(key, SenderDays()).add(_ordinal(day), name)
        return found


@lru_cache(maxsize=2000)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


_PLACE = (
    _MESSAGES.c.mailbox,
    _MESSAGES.c.party,
    _MESSAGES.c.sender_org,
    _MESSAGES.c.confidential,
    func.substr(func.min(_MESSAGES.c.published_at, _MESSAGES.c.fetched_at), 1, _DAY).label("day"),
)
_WANTED = (
    select(*_PLACE, func.max(_MESSAGES.c.sender_name))
    .where(_MESSAGES.c.sender_org.is_not(None))
    .group_by(*_PLACE)
)
