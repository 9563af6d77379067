"""Which channels have to be listed although the bell says that nothing is new there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.bookkeeping import Bookmark
from daemon.core.ports import Channel
from daemon.core.times import FIRST, has_passed
from daemon.store.bookmarks import Bookmarks

_DAY = timedelta(days=1)
_REFUSED_AGAIN = timedelta(hours=1)
"""After how long a channel whose right was lost is tried again."""
_Place = tuple[str, str, str]


@dataclass
class _Standing:
    begun: bool
    refused: bool
    failing: bool
    tried_at: datetime | None
    compared_at: datetime | None


class StandingChannels:
    """What is known of each channel, so that no round reads every bookmark. For one thread."""

    def __init__(self, bookmarks: Bookmarks, mailbox: str, poll_every: timedelta) -> None:
        self._bookmarks, self._mailbox, self._poll_every = bookmarks, mailbox, poll_every
        self._channels: Sequence[Channel] = ()
        self._standing: dict[_Place, _Standing] = {}

    def use(self, channels: Sequence[Channel]) -> None:
        """Take the channels of a round; those that are new are read. Raises StoreError.

        One that comes after the first round, or comes back, is listed whatever is known of it.
        """
        if channels is self._channels:
            return
        before, self._channels = set(map(_place, self._channels)), channels
        new = [each for each in channels if _place(each) not in before]
        if new:
            self.refresh(new)
        for each in new if before else ():
            self._standing[_place(each)].failing = True
            self._standing[_place(each)].tried_at = None

    def refresh(self, channels: Sequence[Channel]) -> None:
        """Read what has become of these channels. Raises StoreError."""
        found = self._bookmarks.of_channels(self._mailbox, channels)
        for channel, bookmark in zip(channels, found, strict=True):
            self._standing[_place(channel)] = _standing(bookmark)

    def is_well(self, channel: Channel) -> bool:
        """Return whether the channel's last listing was complete."""
        standing = self._standing[_place(channel)]
        return standing.begun and not (standing.refused or standing.failing)

    def compared(self, channel: Channel, now: datetime, *, whole: bool) -> None:
        """Note a comparison; one that was not `whole` has the channel listed soon."""
        standing = self._standing[_place(channel)]
        standing.compared_at = now
        standing.failing = standing.failing or not whole

    def to_list(self, now: datetime, most: int) -> list[Channel]:
        """Return channels that were never listed completely, or whose last listing failed.

        At most so many, the longest untried first.
        """
        due = [each for each in self._channels if self._is_due(self._standing[_place(each)], now)]
        return sorted(due, key=self._tried_at)[:most]

    def of_parties(self, parties: Collection[str]) -> list[Channel]:
        """Return the channels of these parties."""
        return [each for each in self._channels if each.party in parties]

    def to_compare(self, now: datetime, most: int) -> list[Channel]:
        """Return channels that were not compared for a day, at most so many."""
        due = [each for each in self._channels if _is_comparable(self._standing[_place(each)], now)]
        return sorted(due, key=self._compared_at)[:most]

    def _is_due(self, standing: _Standing, now: datetime) -> bool:
        if standing.begun and not standing.failing and not standing.refused:
            return False
        every = self._poll_every
        if standing.refused:
            every = max(every, _REFUSED_AGAIN if standing.begun else _DAY)
        return has_passed(every, standing.tried_at, now)

    def _tried_at(self, channel: Channel) -> datetime:
        at = self._standing[_place(channel)].tried_at
        return at or FIRST

    def _compared_at(self, channel: Channel) -> datetime:
        at = self._standing[_place(channel)].compared_at
        return at or FIRST


def _is_comparable(standing: _Standing, now: datetime) -> bool:
    is_read = standing.begun and not standing.refused
    return is_read and has_passed(_DAY, standing.compared_at, now)


def _standing(bookmark: Bookmark) -> _Standing:
    times: Iterable[datetime | None] = (bookmark.succeeded_at, bookmark.failed_at)
    return _Standing(
        begun=bookmark.begun,
        refused=bookmark.refused,
        failing=bookmark.failing_since is not None,
        tried_at=max((each for each in times if each), default=None),
        compared_at=bookmark.compared_at,
    )


def _place(channel: Channel) -> _Place:
    return channel.party, channel.service, channel.resource
