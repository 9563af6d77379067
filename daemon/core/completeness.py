"""What a comparison with a source has found: how many letters it has, and where each of them is.

Every letter of the source is in exactly one place, so the places add up to `source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

STALE_AFTER = timedelta(days=2)
"""A channel is compared once a day; what was compared longer ago than this proves nothing."""
PLACES = (
    *("here", "deleted", "waiting", "gone", "duplicate", "older"),
    *("failing", "unexplained"),
)
"""Where a letter of the source can be, for Postmottak."""
_ACCOUNTED = ("here", "deleted", "waiting", "gone", "duplicate")


class ChannelState(StrEnum):
    """What is known of a channel; the first that applies."""

    ENDED = "ended"  # not read any more
    CLOSED = "closed"  # never readable: a right is missing, and none is expected
    PENDING = "pending"  # not compared yet; its turn comes within a day
    UNASKED = "unasked"  # could not be listed as a whole the last time
    STALE = "stale"  # last compared too long ago
    SHORT = "short"  # compared, and a letter is unexplained
    FAILING = "failing"  # compared, and a letter could not be fetched
    COMPLETE = "complete"  # compared, and every letter is here or explained


CHECKED = frozenset({ChannelState.SHORT, ChannelState.FAILING, ChannelState.COMPLETE})
"""The states in which the numbers of a channel count."""


class Account(SQLModel):
    """Where the letters of a source are, in numbers."""

    source: int = 0
    here: int = 0
    deleted: int = Field(default=0, description="stored once, and deleted by retention")
    waiting: int = Field(default=0, description="confidential, and left alone")
    gone: int = Field(default=0, description="removed at the source before they could be fetched")
    duplicate: int = Field(default=0, description="stored under another id, that of Altinn 2")
    older: int = Field(default=0, description="from before the time from which the channel is read")
    failing: int = Field(default=0, description="could not be fetched yet")
    unexplained: int = 0
    unexamined: int = Field(
        default=0,
        description="those of the older ones about which the source has not been asked yet",
    )
    unlisted: int = Field(default=0, description="here, and not at the source any more")

    @property
    def letters(self) -> int:
        """Return how many letters the source has that are to be here."""
        return self.source - self.older

    @property
    def accounted(self) -> int:
        """Return how many of them are here, or are elsewhere for a reason that is no fault."""
        return sum(getattr(self, name) for name in _ACCOUNTED)

    def numbers(self) -> Mapping[str, int]:
        """Return every number by its name."""
        return {name: getattr(self, name) for name in Account.model_fields}


class Comparison(SQLModel):
    """Of one channel with its source, once or again and again with the same result."""

    id: int | None = Field(default=None, primary_key=True)
    mailbox: str
    party: str
    service: str
    resource: str
    newest: bool = Field(default=True, description="whether it is the channel's last row")
    first_at: datetime
    tried_at: datetime = Field(description="when the comparison was last tried")
    checked_at: datetime | None = Field(
        default=None,
        description="when the source was last listed as a whole: the numbers are of then",
    )
    checks: int = Field(default=1, description="how many comparisons had this result")


class CompletenessRow(Account, Comparison, table=True):
    """What the comparisons of one channel have found, from `first_at` to `tried_at`.

    A comparison with another result begins a new row.
    """

    __tablename__ = "completeness"
    __table_args__ = (
        Index(
            "completeness_newest",
            "mailbox",
            "party",
            "service",
            "resource",
            sqlite_where=text("newest = 1"),
        ),
        Index(
            "completeness_unexplained",
            "mailbox",
            sqlite_where=text("newest = 1 AND unexplained > 0"),
        ),
        Index("completeness_by_time", "newest", "tried_at"),
    )

    problem: str = Field(
        default="", description="why the source could not be listed as a whole; empty if it could"
    )

    @property
    def account(self) -> Account:
        """Return the numbers."""
        return Account(**self.numbers())
