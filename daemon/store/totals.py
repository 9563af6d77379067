"""Totals by mailbox, for monitors: of channels, and of letters that were listed and are not stored.

They are added up in pieces, and no row becomes an object: there may be ten channels for each of
thousands of organisations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlalchemy import select as sql_select
from sqlmodel import col

from daemon.core.bookkeeping import Bookmark, SkippedLetter
from daemon.core.model import SightingState
from daemon.store.database import Database
from daemon.store.pages import ROWS, pieces, row_number


@dataclass(frozen=True, kw_only=True)
class ChannelTotals:
    """The channels of one mailbox together."""

    failing: int = 0
    """How many had no complete listing last time."""
    failing_since: datetime | None = None
    """Since when the first of them has failed."""
    succeeded_at: datetime | None = None
    """When one of all channels was last listed completely."""


_CHANNELS = sql_select(
    col(Bookmark.mailbox),
    func.count(col(Bookmark.failing_since)),
    func.min(col(Bookmark.failing_since)),
    func.max(col(Bookmark.succeeded_at)),
).group_by(col(Bookmark.mailbox))


class Totals:
    """Totals by mailbox. Changes meanwhile may or may not count."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def channels(self) -> dict[str, ChannelTotals]:
        """Return the totals of the channels, by mailbox."""
        found: dict[str, ChannelTotals] = {}
        order = (
            col(Bookmark.mailbox),
            col(Bookmark.party),
            col(Bookmark.service),
            col(Bookmark.resource),
        )
        for piece in pieces(self._database, order, size=ROWS):
            with self._database.read_one() as connection:
                for mailbox, failing, since, succeeded in connection.execute(
                    _CHANNELS.where(piece)
                ):
                    sofar = found.get(mailbox, ChannelTotals())
                    found[mailbox] = ChannelTotals(
                        failing=sofar.failing + failing,
                        failing_since=_chosen(min, sofar.failing_since, since),
                        succeeded_at=_chosen(max, sofar.succeeded_at, succeeded),
                    )
        return found

    def skipped(self, state: SightingState) -> Counter[str]:
        """Count the letters in this state that were listed and are not stored, by mailbox."""
        found: Counter[str] = Counter()
        counted = sql_select(col(SkippedLetter.mailbox), func.count()).group_by(
            col(SkippedLetter.mailbox)
        )
        order, equal = (row_number(SkippedLetter),), col(SkippedLetter.state) == state
        for piece in pieces(self._database, order, equal, size=ROWS):
            with self._database.read_one() as connection:
                for mailbox, count in connection.execute(counted.where(piece)):
                    found[mailbox] += count
        return found


def _chosen(
    choose: Callable[[Sequence[datetime]], datetime], *times: datetime | None
) -> datetime | None:
    known = [time for time in times if time]
    return choose(known) if known else None
