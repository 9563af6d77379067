"""Turns: which organisation is polled next, and by which node, where several share a store."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

_LEAST_LATE = timedelta(seconds=5)
_SPREAD = 2**64


class Poll(SQLModel, table=True):
    """The turn of an organisation in a mailbox, or of a whole mailbox with a bell."""

    __tablename__ = "polls"
    __table_args__ = (Index("polls_due", "mailbox", "due_at"),)

    mailbox: str = Field(primary_key=True)
    party: str = Field(primary_key=True, description="empty for a mailbox with a bell")
    due_at: datetime = Field(description="while it is being polled: when that counts as lost")
    owner: str | None = Field(default=None, description="the start of a node that had it last")
    busy: bool = Field(default=False, description="whether the owner is polling it now")
    fence: int = Field(default=0, description="how often it was claimed")
    parties: int = Field(default=1, description="how many organisations it is about")


class HostPause(SQLModel, table=True):
    """Until when a server wants no calls, as it told one of the nodes."""

    __tablename__ = "host_pauses"

    host: str = Field(primary_key=True)
    client: str = Field(primary_key=True, description="by which the server counts calls")
    closed_until: datetime = Field(description="by the database's clock")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A turn that a node has claimed."""

    party: str
    fence: int
    was_due: datetime
    had_by: str | None
    """Whose it was before."""


def preferred(key: str, nodes: Collection[str]) -> str:
    """Return the node that takes something first; empty if there is none.

    Every node finds the same one (rendezvous hashing). When a node comes or goes, what is another
    one's stays so.
    """
    return max(nodes, key=lambda node: (_drawn(f"{node}\0{key}"), node), default="")


def late_after(every: timedelta) -> timedelta:
    """Return how late a turn must be before any node takes it."""
    return max(_LEAST_LATE, every / 10)


def next_due(turn: Turn, began: datetime, every: timedelta, *, late: timedelta) -> datetime:
    """Return when the next turn is due; `late` is after how long any node takes it.

    Turns keep their places in the interval, and so stay spread over it. Those that waited for
    long, after an outage perhaps, are spread again, over the second half of the next interval.
    """
    if began - turn.was_due <= late:
        return max(turn.was_due + every, began)
    return began + every / 2 + place_of(turn.party, every / 2)


def place_of(party: str, every: timedelta) -> timedelta:
    """Return a place in the interval, which is the same for the same organisation always."""
    return every * (_drawn(party) / _SPREAD)


def _drawn(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
