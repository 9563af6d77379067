"""From a mailbox to the store: list, have fetched and stored what is new, and move the bookmark.

The order is the promise: only when letters are stored, the bookmark says that they need not be
fetched again. Fetching and storing them is a LetterCarrier's: this process, or its workers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import structlog

from daemon.core.bookkeeping import Bookmark
from daemon.core.callbacks import do_nothing
from daemon.core.model import LetterRef, SightingState
from daemon.core.ports import Channel, Mailbox
from daemon.intake.carrier import (
    Carried,
    Carrier,
    CarryProgress,
    LetterCarrier,
    Work,
    note_skipped,
    place_of,
)
from daemon.intake.counters import IntakeCounters
from daemon.intake.fetch import Fetched, Fetcher
from daemon.intake.listing import ListedChannel, abreast, list_channel, moved_bookmark
from daemon.intake.listing_waves import listed_in_waves
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.notices import Notices
from daemon.runtime.thread_pool import ThreadPool
from daemon.store import Store

_log = structlog.get_logger(__name__)
_UNACCOUNTED = "it was listed, and is neither here nor accounted for; report this as a fault"


@dataclass(kw_only=True)
class IntakeSummary:
    """What one poll of one mailbox did, in numbers, and what went wrong, in words."""

    listed: int = 0
    fetched: int = 0
    stored: int = 0
    gone: int = 0
    duplicates: int = 0
    waiting: int = 0
    notices: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unreachable: bool = False
    """No channel could be listed at all."""

    def add(self, carried: Carried) -> None:
        """Add what became of letters."""
        for name in ("fetched", "stored", "gone", "duplicates", "waiting"):
            setattr(self, name, getattr(self, name) + getattr(carried, name))
        self.problems += carried.problems


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Polls mailboxes."""

    store: Store
    fetcher: Fetcher
    notices: Notices
    here: Carrier
    """Fetches and stores in this process."""
    carrier: LetterCarrier | None = None
    """Does so instead, if there is one."""
    counters: IntakeCounters = field(default_factory=IntakeCounters)

    def poll(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        stopping: threading.Event,
        channels: Sequence[Channel] | None = None,
        on_stored: Callable[[], None] = do_nothing,
    ) -> IntakeSummary:
        """Do one round: list `channels`, or all, and store every new letter.

        Letters of channels that are listed do not wait for lists that take long. Ends early when
        `stopping` is set. `on_stored` is called after each commit of letters, so that they need not
        wait for those that follow. A problem with a channel or a letter is in the summary, and
        affects no other. Raises StoreError if nothing can be kept.
        """
        channels = abreast(mailbox.channels() if channels is None else channels)
        summary, limiter = IntakeSummary(), self.here.limiter()
        unanswered: list[bool] = []

        def listed_if_wanted(channel: Channel, bookmark: Bookmark) -> ListedChannel | None:
            with limiter.slot():
                if stopping.is_set():
                    return None
                return list_channel(mailbox, channel, bookmark, self.fetcher.clock)

        with ThreadPool(self.here.workers, thread_name_prefix="list") as pool:
            bookmarks = self.store.bookmarks.of_channels(mailbox.name, channels)
            each_with = zip(channels, bookmarks, strict=True)
            lists = listed_in_waves(pool, listed_if_wanted, each_with, self.here.workers)
            with closing(lists) as waves:
                for listed in waves:
                    unanswered += _note_listings(listed, summary)
                    failed = sum(bool(each.problem) and not each.expected for each in listed)
                    self.counters.listing_failures.add(mailbox.name, failed)
                    self._take(mailbox, policies, listed, stopping, on_stored, summary)
        summary.unreachable = bool(unanswered) and all(unanswered)
        summary.notices = self.notices.write(mailbox.name)
        return summary

    def _take(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        listed: Sequence[ListedChannel],
        stopping: threading.Event,
        on_stored: Callable[[], None],
        summary: IntakeSummary,
    ) -> None:
        """Have the new letters of listed channels stored, and move the channels' bookmarks."""
        work = self._new_letters(mailbox, listed, summary)
        carried = self._carry(mailbox, policies, work, stopping, on_stored)
        if not stopping.is_set():
            self._account_for(mailbox.name, work, carried)
            now = self.fetcher.clock()
            moved = [
                moved_bookmark(
                    each, carried.read_up_to((each.channel.party, each.channel.resource)), now
                )
                for each in listed
            ]
            self.store.bookmarks.save(moved)
        summary.add(carried)

    def fetch(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Sequence[tuple[Channel, LetterRef]],
        stopping: threading.Event,
        unpublished: set[LetterRef] | None = None,
    ) -> IntakeSummary:
        """Fetch and store letters whose references are known.

        No bookmark moves. Letters that the mailbox does not have are gone for good; or, with
        `unpublished`, may still come: they are added to it, and not noted. Raises StoreError.
        """
        summary, now = IntakeSummary(listed=len(work)), self.fetcher.clock()
        work = [(channel, replace(ref, listed_at=ref.listed_at or now)) for channel, ref in work]
        summary.add(self._carry(mailbox, policies, work, stopping, do_nothing, unpublished))
        return summary

    def _carry(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Work,
        stopping: threading.Event,
        on_stored: Callable[[], None],
        unpublished: set[LetterRef] | None = None,
    ) -> Carried:
        """Have the letters fetched, in this process where some may be `unpublished`: few are."""

        def report(progress: CarryProgress) -> None:
            self.counters.letters_stored.add(mailbox.name, progress.stored)
            if progress.left:
                on_stored()

        if not work:
            return Carried()
        if unpublished is not None:
            return self.here.carry(mailbox, policies, work, stopping, report, unpublished)
        return (self.carrier or self.here).carry(mailbox, policies, work, stopping, report)

    def _new_letters(
        self,
        mailbox: Mailbox,
        listed: Sequence[ListedChannel],
        summary: IntakeSummary,
    ) -> list[tuple[Channel, LetterRef]]:
        """Return the letters to fetch: those listed and not yet handled, and those that failed.

        The latter even if the listing now begins after them.
        """
        waiting = [ref for each in listed if each.channel.list_only for ref in each.refs]
        summary.waiting += len(waiting)
        self.store.letters.record_waiting(waiting, self.fetcher.clock())
        fetchable = {
            (each.channel.party, each.channel.resource): each.channel
            for each in listed
            if not each.channel.list_only
        }
        failing = self.store.letters.failing(mailbox.name)
        work = {
            ref.message_id: (fetchable[place_of(ref)], ref)
            for ref in failing
            if place_of(ref) in fetchable
        }
        found = {
            ref.message_id: (each.channel, ref)
            for each in listed
            if not each.channel.list_only
            for ref in each.refs
        }
        unsettled = self._unsettled(list((work | found).values()))
        since = {key: ref.listed_at for key, (_, ref) in work.items()}
        at = {(each.channel.party, each.channel.resource): each.at for each in listed}
        return [
            (channel, replace(ref, listed_at=since.get(ref.message_id) or at.get(place_of(ref))))
            for channel, ref in unsettled
        ]

    def _unsettled(
        self, work: Sequence[tuple[Channel, LetterRef]]
    ) -> list[tuple[Channel, LetterRef]]:
        """Return the work without letters that are handled already.

        Confidential letters that were left alone count as handled, unless they may be fetched and
        the table has changed.
        """
        version = self.fetcher.table().version
        left: list[tuple[Channel, LetterRef]] = []
        for confidential_too in (False, True):
            some = [each for each in work if each[0].fetch_confidential is confidential_too]
            already_handled = self.store.letters.already_handled(
                (ref for _, ref in some), version if confidential_too else None
            )
            left += [each for each in some if each[1].message_id not in already_handled]
        return left

    def _account_for(
        self, mailbox: str, work: Sequence[tuple[Channel, LetterRef]], carried: Carried
    ) -> None:
        """Note each letter that was to be fetched and is neither here nor noted: none is forgotten.

        So what was listed is here, or is not for a reason that has a name.
        """
        if not work:
            return
        refs = {ref.message_id: ref for _, ref in work}
        known = self.store.letters.already_handled(refs.values(), None)
        known |= {ref.message_id for ref in self.store.letters.failing(mailbox)}
        for key in refs.keys() - known:
            lost = Fetched(ref=refs[key], state=SightingState.FAILING, problem=_UNACCOUNTED)
            note_skipped(self.store, lost, self.fetcher.clock(), carried)


def _note_listings(listed: Sequence[ListedChannel], summary: IntakeSummary) -> list[bool]:
    """Note what was listed, and what failed. Returns whether each channel was not answered."""
    summary.listed += sum(len(each.refs) for each in listed)
    for each in listed:
        if each.problem:
            words = (
                f"{each.channel.party} {each.channel.service} {each.channel.resource}: "
                f"{each.problem}"
            )
            (summary.remarks if each.expected else summary.problems).append(words)
            # a refused guess would be repeated at every poll; `check` reports it once
            report = _log.debug if each.expected else _log.warning
            report(
                "listing failed",
                party=each.channel.party,
                resource=each.channel.resource,
                reason=each.problem,
            )
    return [bool(each.problem) and not each.refused and not each.refs for each in listed]
