"""How often an organisation is listed, by how long ago its newest letter is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.times import has_passed

if TYPE_CHECKING:
    from daemon.core.bookkeeping import Bookmark

_SHARE = 48.0
"""Into how many intervals the time since the newest letter is divided: a day gives half an hour."""


@dataclass(frozen=True)
class PollBounds:
    """Between which intervals the operator lets it be."""

    shortest: timedelta
    longest: timedelta

    def interval(self, newest: datetime | None, now: datetime) -> timedelta:
        """Return the interval of an organisation whose newest letter was published then.

        The longest if it never had one. A letter that is found within the longest interval of its
        publishing always gives the shortest.
        """
        if newest is None:
            return self.longest
        share = max(_SHARE, self.longest / self.shortest)
        return min(self.longest, max(self.shortest, (now - newest) / share))

    def of_party(self, bookmarks: Iterable[Bookmark], now: datetime) -> timedelta:
        """Return the interval of an organisation by the bookmarks of all its channels."""
        return self.interval(newest_letter(bookmarks), now)

    def wait(self, bookmarks: Iterable[Bookmark], now: datetime) -> timedelta:
        """Return after how long an organisation that was just listed is to be listed again.

        After the shortest interval if a channel was not listed yet, or not completely.
        """
        channels = list(bookmarks)
        is_read = all(each.begun and not each.failing_since for each in channels)
        return self.of_party(channels, now) if is_read else self.shortest

    def is_due(self, bookmarks: Iterable[Bookmark], now: datetime) -> bool:
        """Whether an organisation is to be listed at the turn that comes each shortest interval.

        It is whenever a channel was not listed yet, or not completely.
        """
        channels = list(bookmarks)
        if not all(each.begun and not each.failing_since for each in channels):
            return True
        # half a turn early, because turns are not exact
        wait = self.of_party(channels, now) - self.shortest / 2
        return any(has_passed(wait, last_tried(each), now) for each in channels)


def newest_letter(bookmarks: Iterable[Bookmark]) -> datetime | None:
    """Return when the newest letter of an organisation was published; None if it has none.

    Confidential post does not count: its channel may only be listed, and then says nothing of that.
    """
    positions = (each.position for each in bookmarks if each.service != CONFIDENTIAL_POST.code)
    return max((each for each in positions if each), default=None)


def last_tried(bookmark: Bookmark) -> datetime | None:
    """Return when a channel was last listed, or could not be; None if it never was tried."""
    return max((at for at in (bookmark.succeeded_at, bookmark.failed_at) if at), default=None)
