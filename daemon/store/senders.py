"""On which days each sender has sent letters. Read-only."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from operator import gt, le
from sys import intern
from typing import NamedTuple

from sqlalchemy import func, select, true, tuple_

from daemon.core.model import Message
from daemon.store.database import Database, table_of
from daemon.store.pages import ROWS, pieces, row_number
from daemon.store.sql_words import earlier_day

_MESSAGES = table_of(Message)
_BY_ARRIVAL = (_MESSAGES.c.fetched_at, row_number(Message))
MOST = 25_000
"""Senders whose histories are in memory at a time, at most twice as many: about 20 MB."""


class SenderKey(NamedTuple):
    """Who sends letters to whom; confidential post apart, so that each has its own history."""

    mailbox: str
    party: str
    number: str
    confidential: bool


@dataclass(slots=True)
class SenderDays:
    """What one sender has sent."""

    name: str = ""
    """What it calls itself."""
    _ordinals: array[int] = field(default_factory=lambda: array("i"))  # four bytes for each day

    def add(self, day: int, name: str) -> None:
        """Add a day, which may be there already."""
        if not self._ordinals or self._ordinals[-1] != day:
            self._ordinals.append(day)
        self.name = name or self.name

    def days(self) -> Iterator[date]:
        """Yield the days, some of them perhaps several times."""
        return map(date.fromordinal, self._ordinals)


@dataclass(kw_only=True)
class SenderHistories:
    """The histories of some senders: those that come first after `after`, in order.

    There may be any number of senders, so they are read in several walks, each through all letters.
    """

    after: SenderKey | None = None
    until: SenderKey | None = None
    """The last one that is among them, if others come later; None if all are."""
    by_sender: dict[SenderKey, SenderDays] = field(default_factory=dict)
    most: int = MOST

    def has(self, sender: SenderKey) -> bool:
        """Whether it is among them, if it has sent anything."""
        begins = self.after is None or sender > self.after
        return begins and (self.until is None or sender <= self.until)

    def add(self, letters: Iterable[tuple[SenderKey, int, str]]) -> None:
        """Add senders, days and what the senders call themselves; leave out those of later walks.

        Not more than twice `most` senders are kept, and what one piece of letters has.
        """
        for sender, day, name in letters:
            if sender not in self.by_sender:
                self.by_sender[sender] = SenderDays()
            self.by_sender[sender].add(day, name)
        if len(self.by_sender) > 2 * self.most:
            kept = sorted(self.by_sender)[: self.most]
            self.by_sender = {each: self.by_sender[each] for each in kept}
            self.until = kept[-1]


class Senders:
    """Senders that have an organisation number, by their letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, histories: SenderHistories, since: datetime) -> Iterator[None]:
        """Add the letters that came since then, in UTC; yield after each piece of them.

        A letter counts on the day it was published, or, if that is dated later, on which it came.
        """
        for piece in pieces(self._database, _BY_ARRIVAL, since=since, size=ROWS):
            begins = gt(_KEY, histories.after) if histories.after else true()
            ends = le(_KEY, histories.until) if histories.until else true()
            wanted = _WANTED.where(piece, begins, ends)
            with self._database.read_one() as connection:
                rows = connection.execute(wanted).all()
            histories.add(
                (
                    SenderKey(intern(mailbox), intern(party), intern(number), bool(confidential)),
                    _ordinal(day),
                    intern(name),
                )
                for mailbox, party, number, confidential, day, name in rows
            )
            yield


@lru_cache(maxsize=2000)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


_SENDER = (
    _MESSAGES.c.mailbox,
    _MESSAGES.c.party,
    _MESSAGES.c.sender_org,
    _MESSAGES.c.confidential,
)
# with an expression, so that SQLite reads by arrival and not by the index of mailboxes
_KEY = tuple_(_MESSAGES.c.mailbox.concat(""), *_SENDER[1:])
_SENT_ON = earlier_day(_MESSAGES.c.published_at, _MESSAGES.c.fetched_at)
_WANTED = (
    select(*_SENDER, _SENT_ON.label("day"), func.max(_MESSAGES.c.sender_name))
    .where(_MESSAGES.c.sender_org.is_not(None))
    .group_by(*_SENDER, _SENT_ON)
)
