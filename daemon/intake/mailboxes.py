"""Mailboxes as the service polls them: with their policies, their interval, and heartbeats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from daemon.config.loader import Configuration
from daemon.core.bell import RingsBell
from daemon.core.bookkeeping import Bookmark
from daemon.core.model import Policy
from daemon.core.pacing import IsPaced, PaceNumbers
from daemon.core.poll_interval import PollBounds
from daemon.core.ports import Channel, Mailbox
from daemon.core.settings import MailboxSettings
from daemon.intake.new_letter import MarkPolicies
from daemon.runtime.heartbeat import OUTBOX, Heartbeats, mailbox_with_heartbeat
from daemon.store.bookmarks import Bookmarks

PARTIES_AT_A_TIME = 10


@dataclass(frozen=True, kw_only=True)
class PolledMailbox:
    """A mailbox, and what polling needs to know."""

    mailbox: Mailbox
    receiver: Mailbox
    """The same mailbox, for the outbox, whose thread sets marks."""
    policies: MarkPolicies
    poll_every: timedelta
    bounds: PollBounds | None = None
    """Between which intervals each organisation's own lies, where lists are polled."""
    bell: RingsBell | None = None
    """Its bell, if it has one that is switched on; for the thread that polls."""

    @property
    def turn_every(self) -> timedelta:
        """How often it is the turn of each organisation, where lists are polled."""
        return self.bounds.shortest if self.bounds else self.poll_every

    def due(
        self, bookmarks: Bookmarks, channels: Sequence[Channel], now: datetime
    ) -> Sequence[Channel]:
        """Return those channels whose organisation is listed at this turn. Raises StoreError."""
        if self.bounds is None:
            return channels
        found = self._by_party(bookmarks, channels)
        due = {party for party, own in found.items() if self.bounds.is_due(own, now)}
        return [each for each in channels if each.party in due]

    def intervals(
        self, bookmarks: Bookmarks, channels: Sequence[Channel], now: datetime
    ) -> Mapping[str, timedelta]:
        """Return after how long each organisation is to be listed again. Raises StoreError."""
        if self.bounds is None:
            return {each.party: self.poll_every for each in channels}
        found = self._by_party(bookmarks, channels)
        return {party: self.bounds.wait(own, now) for party, own in found.items()}

    def _by_party(
        self, bookmarks: Bookmarks, channels: Sequence[Channel]
    ) -> Mapping[str, list[Bookmark]]:
        found: defaultdict[str, list[Bookmark]] = defaultdict(list)
        for each in bookmarks.of_channels(self.mailbox.name, channels):
            found[each.party].append(each)
        return found


def polled_mailboxes(
    configuration: Configuration, mailboxes: Sequence[Mailbox], heartbeats: Heartbeats
) -> tuple[PolledMailbox, ...]:
    """Return the configuration's mailboxes, which are connected as `mailboxes`.

    Each call to one is a heartbeat of the calling thread.
    """
    connected = zip(configuration.mailboxes, mailboxes, strict=True)
    return tuple(_box(mailbox, each.settings, heartbeats) for each, mailbox in connected)


def _box(mailbox: Mailbox, settings: MailboxSettings, heartbeats: Heartbeats) -> PolledMailbox:
    return PolledMailbox(
        mailbox=mailbox_with_heartbeat(
            mailbox, partial(heartbeats.beat, poll_heartbeat(mailbox.name))
        ),
        receiver=mailbox_with_heartbeat(mailbox, partial(heartbeats.beat, OUTBOX)),
        policies=_policies(settings),
        poll_every=settings.poll_every,
        bounds=settings.poll_bounds,
        bell=mailbox if isinstance(mailbox, RingsBell) and mailbox.rings_every else None,
    )


def poll_heartbeat(mailbox: str) -> str:
    """Return the name of the heartbeat of the thread that polls this mailbox."""
    return f"poll {mailbox}"


def _policies(settings: MailboxSettings) -> MarkPolicies:
    """Return the mailbox's policies.

    If fetching a letter already marks it as read, there is no policy for Read: nothing is left to
    do.
    """
    read = settings.mark_read if isinstance(settings.mark_read, Policy) else Policy.NEVER
    return MarkPolicies(read=read, confirmed=settings.confirm)


def paces_of(mailboxes: Iterable[Mailbox]) -> list[PaceNumbers]:
    """Return the pace of each client in this process, though several mailboxes may share it."""
    numbers = (each.pace_numbers() for each in mailboxes if isinstance(each, IsPaced))
    return list({each.client: each for each in numbers}.values())


def batches_of_parties(channels: Sequence[Channel]) -> list[list[Channel]]:
    """Return the channels in groups of a few parties each; one empty group if there are none."""
    parties = [
        list(of_party) for _, of_party in groupby(channels, key=lambda channel: channel.party)
    ]
    starts = range(0, max(len(parties), 1), PARTIES_AT_A_TIME)
    return [
        [channel for party in parties[start : start + PARTIES_AT_A_TIME] for channel in party]
        for start in starts
    ]
