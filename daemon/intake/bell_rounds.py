"""Rounds by the bell: ask who has something new, fetch just that, and list only where it is needed.

The bell is for speed, and is never believed. Where it does not answer, channels are listed as
often as without it; every channel is compared as a whole once a day, a few in each round; and the
time up to which it was asked moves only past what is dealt with.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from daemon.core.bell import RingsBell
from daemon.core.bookkeeping import BellRecord
from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.model import LetterRef
from daemon.core.ports import Channel
from daemon.core.times import has_passed, shifted
from daemon.intake.bell_answers import Hearing
from daemon.intake.mailboxes import PolledMailbox
from daemon.intake.pending_rings import FEW, PendingRing, PendingRings
from daemon.intake.poll import Intake, IntakeSummary
from daemon.intake.reconcile import Reconciliation
from daemon.intake.standing_channels import StandingChannels

_log = structlog.get_logger(__name__)
OVERLAP = timedelta(minutes=10)
"""How far behind the time up to which the bell was asked it is asked again."""
_CHANNELS = 110
"""How many channels may always be listed in a round: those of ten parties."""
_DAY = timedelta(days=1)
_HEARD_EVERY = timedelta(minutes=5)


@dataclass(kw_only=True)
class RoundSummary(IntakeSummary):
    """What one round did."""

    channels: int = 0
    """How many were listed."""
    rings: int = 0
    heard: int = 0
    """Parties for which the bell answered."""
    refused: str = ""
    """Why the bell cannot be used for some parties; empty if it can."""
    missing: int = 0
    """Letters that the daily comparison found missing."""
    listed_parties: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, kw_only=True)
class RoundParts:
    """What rounds are made with."""

    intake: Intake
    reconciliation: Reconciliation
    box: PolledMailbox
    bell: RingsBell
    every: timedelta
    beat: Callable[[], None] = do_nothing


class BellRounds:
    """The rounds of one mailbox. For one thread."""

    def __init__(self, parts: RoundParts) -> None:
        self._parts, self._store = parts, parts.intake.store
        self._mailbox, self._policies = parts.box.mailbox, parts.box.policies
        self._clock = parts.intake.fetcher.clock
        self._pending = PendingRings()
        self._standing = StandingChannels(
            self._store.bookmarks, self._mailbox.name, parts.box.poll_every
        )
        self.record: BellRecord = self._store.bells.of(self._mailbox.name)
        begins = self.record.asked_until or self._last_lists()
        self._hearing = Hearing(begins, parts.box.poll_every, parts.every, overlap=OVERLAP)
        self._noted_heard: datetime | None = None

    def _last_lists(self) -> datetime | None:
        """Return up to when every channel was listed, for a bell that was never asked before.

        None if there is none that need not be listed anyhow.
        """
        read = (
            each.succeeded_at
            for each in self._store.queries.bookmarks()
            if each.mailbox == self._mailbox.name
            and each.begun
            and not (each.refused or each.failing_since or each.retired_at)
        )
        return _earliest(*read)

    def run(
        self, stopping: threading.Event, on_stored: Callable[[], None] = do_nothing
    ) -> RoundSummary:
        """Do one round. Raises StoreError."""
        channels, now, summary = self._mailbox.channels(), self._clock(), RoundSummary()
        self._standing.use(channels)
        self._hearing.follow({each.party for each in channels}, now)
        self._ask(summary, now, stopping)
        if stopping.is_set():
            return summary
        self._answer_rings(summary, stopping, on_stored)
        self._list(summary, stopping, on_stored)
        self._walk(summary, stopping)
        if not stopping.is_set():
            self._save(summary)
        return summary

    def _ask(self, summary: RoundSummary, now: datetime, stopping: threading.Event) -> None:
        """Ask the bell about each party whose turn it is; a fault counts as no answer."""
        asked_until = self._hearing.asked_until()
        outcome = call_connector(
            partial(self._hear, summary, now, stopping), mailbox=self._mailbox.name
        )
        if isinstance(outcome, PostmottakError):
            summary.remarks.append(str(outcome))
        for rings in self._hearing.take_rings():
            summary.rings += self._pending.add(rings, asked_until, now)
        summary.heard = len(self._hearing.heard)
        summary.refused = self._hearing.refusal

    def _hear(self, summary: RoundSummary, now: datetime, stopping: threading.Event) -> None:
        for answer in self._parts.bell.ring(self._hearing.questions(now)):
            self._parts.beat()
            self._hearing.take(answer, self._clock())
            if answer.problem:
                summary.remarks.append(answer.problem)
            if stopping.is_set():
                return

    def _answer_rings(
        self, summary: RoundSummary, stopping: threading.Event, on_stored: Callable[[], None]
    ) -> None:
        by_place = {(each.party, each.resource): each for each in self._mailbox.channels()}
        to_list: dict[bool, list[Channel]] = {True: [], False: []}
        listed: list[PendingRing] = []
        wanted: list[tuple[Channel, PendingRing]] = []
        for place, rings in self._pending.due(self._clock()).items():
            channel = by_place.get(place)
            if channel is None:
                for each in rings:
                    self._pending.settle(each)
            elif _is_for_a_list(channel, rings):
                to_list[all(each.behind for each in rings)].append(channel)
                listed += rings
            else:
                wanted += [(channel, each) for each in rings]
                if any(each.tries for each in rings):
                    to_list[all(each.behind for each in rings)].append(channel)
        self._fetch(wanted, summary, stopping)
        for behind, channels in to_list.items():
            stored = self._poll(channels, summary, stopping, on_stored)
            self._count(stored, behind=behind)
        for each in listed:
            if not each.ring.alone and self._standing.is_well(by_place[each.place]):
                self._pending.settle(each)
            else:
                self._tried(each)

    def _fetch(
        self,
        wanted: Sequence[tuple[Channel, PendingRing]],
        summary: RoundSummary,
        stopping: threading.Event,
    ) -> None:
        """Fetch the letters of a few rings, each by itself."""
        work = [
            (channel, each.ref)
            for channel, each in wanted
            if not stopping.is_set() and self._look_up(each) and each.ref
        ]
        before = self._here(ref for _, ref in work)
        left = [each for each in work if each[1].message_id not in before]
        if left:
            found = self._parts.intake.fetch(
                self._mailbox, self._policies, left, stopping, unpublished=set()
            )
            summary.fetched += found.fetched
            summary.stored += found.stored
        here = self._here(ref for _, ref in work)
        for _, each in wanted:
            if each.ref and each.ref.message_id in here:
                self._pending.settle(each)
                self._count(int(each.ref.message_id not in before), behind=each.behind)
            else:
                self._tried(each)

    def _look_up(self, pending: PendingRing) -> bool:
        """Find out which letter rang; return whether it is known."""
        if pending.ref is None:
            call = partial(self._parts.bell.letter_of, pending.ring)
            found = call_connector(call, mailbox=self._mailbox.name)
            self._parts.beat()
            pending.ref = found if isinstance(found, LetterRef) else None
        return pending.ref is not None

    def _here(self, refs: Iterable[LetterRef]) -> set[object]:
        return {*self._store.letters.already_handled(refs, None)}

    def _tried(self, pending: PendingRing) -> None:
        now = self._clock()
        pending.try_again(now)
        if pending.is_over(now):
            self._pending.settle(pending)

    def _poll(
        self,
        channels: Sequence[Channel],
        summary: RoundSummary,
        stopping: threading.Event,
        on_stored: Callable[[], None],
    ) -> int:
        if not channels or stopping.is_set():
            return 0
        found = self._parts.intake.poll(
            self._mailbox, self._policies, stopping, channels, on_stored
        )
        self._standing.refresh(channels)
        summary.channels += len(channels)
        summary.listed += found.listed
        summary.fetched += found.fetched
        summary.stored += found.stored
        summary.problems += found.problems
        summary.unreachable = summary.unreachable or found.unreachable
        return found.stored

    def _list(
        self, summary: RoundSummary, stopping: threading.Event, on_stored: Callable[[], None]
    ) -> None:
        """List what was never listed, what fails, and parties that the bell said nothing of."""
        now = self._clock()
        unheard = self._hearing.unheard(now)
        failing = {(each.party, each.resource) for each in self._failing()}
        channels = {
            (each.party, each.service, each.resource): each
            for each in (
                *self._standing.to_list(now, self._in_a_round(self._parts.box.poll_every)),
                *self._standing.of_parties(unheard),
                *(each for each in self._mailbox.channels() if _place(each) in failing),
            )
        }
        stored = self._poll(list(channels.values()), summary, stopping, on_stored)
        self.record.found_by_list += stored
        summary.listed_parties = frozenset(self._hearing.not_heard)
        self._hearing.listed(unheard, now)

    def _failing(self) -> Sequence[LetterRef]:
        """Return the letters that could not be fetched, as often as they are tried without bell."""
        if not self._hearing.is_time_for_failing(self._clock()):
            return ()
        return self._store.letters.failing(self._mailbox.name)

    def _walk(self, summary: RoundSummary, stopping: threading.Event) -> None:
        """Compare a few channels as a whole, so that each is compared once a day."""
        channels = self._standing.to_compare(self._clock(), self._in_a_round(_DAY * 0.8))
        if not channels or stopping.is_set():
            return
        compared = self._parts.reconciliation.run(self._mailbox, self._policies, stopping, channels)
        for channel, each in zip(channels, compared, strict=False):
            self._standing.compared(channel, self._clock(), whole=not each.problems)
            self.record.found_by_walk += each.fetched
            summary.stored += each.fetched
            summary.missing += len(each.missing)

    def _in_a_round(self, within: timedelta) -> int:
        share = len(self._mailbox.channels()) * self._parts.every / within
        return max(_CHANNELS if within < _DAY / 2 else 5, math.ceil(share))

    def _count(self, stored: int, *, behind: bool) -> None:
        if behind:
            self.record.found_by_overlap += stored
        else:
            self.record.found_by_bell += stored

    def _save(self, summary: RoundSummary) -> None:
        now, record = self._clock(), self.record
        record.asked_until = _earliest(self._hearing.earliest(), self._pending.oldest())
        record.rang_at = now if summary.heard else record.rang_at
        record.parties_heard, record.parties_listed = summary.heard, len(summary.listed_parties)
        record.lost_since = (record.lost_since or now) if summary.refused else None
        record.last_error = summary.refused or None
        self._store.bells.save(record)
        if has_passed(_HEARD_EVERY, self._noted_heard, now):
            self._store.bells.heard(self._mailbox.name, self._hearing.heard, now)
            self._noted_heard = now
        if record.asked_until:
            self._pending.forget(shifted(record.asked_until, -2 * OVERLAP))


def _is_for_a_list(channel: Channel, rings: Sequence[PendingRing]) -> bool:
    """Return whether a list is cheaper than a lookup of each letter, or the only way."""
    return len(rings) > FEW or channel.list_only or not all(each.ring.alone for each in rings)


def _earliest(*times: datetime | None) -> datetime | None:
    return min((each for each in times if each), default=None)


def _place(channel: Channel) -> tuple[str, str]:
    return channel.party, channel.resource
