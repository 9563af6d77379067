"""From a mailbox to the store: list, fetch what is new, commit, and only then move the bookmark.

The order is the promise: bytes first, durable; then one transaction with the message, its
attachments, its deliveries and its marks; and only then a bookmark that says that they need not
be fetched again. Several letters are fetched at a time, and those that are ready together are
committed together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog

from daemon.core.bookkeeping import Bookmark
from daemon.core.callbacks import do_nothing
from daemon.core.errors import NotStorable
from daemon.core.letter_batch import FetchesTogether
from daemon.core.model import LetterRef, MessageValues, SightingState
from daemon.core.outside_values import text_from
from daemon.core.ports import Channel, Mailbox
from daemon.delivery.reservations import Reservations
from daemon.intake.counters import IntakeCounters
from daemon.intake.fetch import Fetched, Fetcher, MarkPolicies, duplicate
from daemon.intake.listing import ListedChannel, abreast, list_channel, moved_bookmark
from daemon.intake.notices import Notices
from daemon.intake.ready import ReadyLetters, without_unpublished
from daemon.intake.together import FetchTogether
from daemon.runtime.limiter import ConcurrencyLimiter
from daemon.runtime.thread_pool import ThreadPool
from daemon.store import Store, StoredLetter
from daemon.store.stored_letter import Added

_log = structlog.get_logger(__name__)
_UNACCOUNTED = "it was listed, and is neither here nor accounted for; report this as a fault"
_WORKERS_BEHIND = 2
_Place = tuple[str, str]
"""A channel's party and resource."""


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


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Polls mailboxes."""

    store: Store
    fetcher: Fetcher
    notices: Notices
    workers: int = 8
    """Calls to a mailbox at a time."""
    backlog: Callable[[], bool] = lambda: False
    """Whether letters are due but not yet in flight: then there are only `_WORKERS_BEHIND` calls at
    a time.
    """
    reservations: Reservations = field(default_factory=Reservations)
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

        Ends early when `stopping` is set. `on_stored` is called after each commit of letters, so
        that they need not wait for those that follow. A problem with a channel or a letter is in
        the summary, and affects no other. Raises StoreError if nothing can be kept.
        """
        channels = abreast(mailbox.channels() if channels is None else channels)
        summary, limiter = IntakeSummary(), self._limiter()
        with self._pool() as pool:
            bookmarks = self.store.bookmarks.of_channels(mailbox.name, channels)

            def listed_if_wanted(channel: Channel, bookmark: Bookmark) -> ListedChannel | None:
                with limiter.slot():
                    if stopping.is_set():
                        return None
                    return list_channel(mailbox, channel, bookmark, self.fetcher.clock)

            found = pool.map(listed_if_wanted, channels, bookmarks)
            listed = [each for each in found if each]
            _note_listings(listed, summary)
            failed = sum(bool(each.problem) and not each.expected for each in listed)
            self.counters.listing_failures.add(mailbox.name, failed)
            work = self._new_letters(mailbox, channels, listed, summary)
            newest = self._store_all(
                self._fetch_all(pool, limiter, mailbox, policies, work, stopping),
                summary,
                on_stored,
            )
        summary.notices = self.notices.write(mailbox.name)
        if not stopping.is_set():
            self._account_for(mailbox.name, work, summary)
            now = self.fetcher.clock()
            moved = [
                moved_bookmark(each, newest.get((each.channel.party, each.channel.resource)), now)
                for each in listed
            ]
            self.store.bookmarks.save(moved)
        return summary

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
        summary = IntakeSummary(listed=len(work))
        with self._pool() as pool:
            fetched = self._fetch_all(pool, self._limiter(), mailbox, policies, work, stopping)
            self._store_all(without_unpublished(fetched, unpublished), summary)
        return summary

    def _at_once(self) -> int:
        return min(_WORKERS_BEHIND, self.workers) if self.backlog() else self.workers

    def _limiter(self) -> ConcurrencyLimiter:
        return ConcurrencyLimiter(
            self.workers, reduced_limit=_WORKERS_BEHIND, yield_priority=self.backlog
        )

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPool(self.workers, thread_name_prefix="fetch")

    def _new_letters(
        self,
        mailbox: Mailbox,
        channels: Sequence[Channel],
        listed: Sequence[ListedChannel],
        summary: IntakeSummary,
    ) -> list[tuple[Channel, LetterRef]]:
        """Return the letters to fetch: those listed and not yet handled, and those that failed.

        The latter even if the listing now begins after them.
        """
        waiting = [ref for each in listed if each.channel.list_only for ref in each.refs]
        summary.waiting = len(waiting)
        self.store.letters.record_waiting(waiting, self.fetcher.clock())
        fetchable = {
            (channel.party, channel.resource): channel
            for channel in channels
            if not channel.list_only
        }
        failing = self.store.letters.failing(mailbox.name)
        work = {
            ref.message_id: (fetchable[_place(ref)], ref)
            for ref in failing
            if _place(ref) in fetchable
        }
        work |= {
            ref.message_id: (each.channel, ref)
            for each in listed
            if not each.channel.list_only
            for ref in each.refs
        }
        return self._unsettled(list(work.values()))

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
        self, mailbox: str, work: Sequence[tuple[Channel, LetterRef]], summary: IntakeSummary
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
            self._note(lost, summary)

    def _fetch_all(
        self,
        pool: ThreadPoolExecutor,
        limiter: ConcurrencyLimiter,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Sequence[tuple[Channel, LetterRef]],
        stopping: threading.Event,
    ) -> Generator[list[Fetched], None, None]:
        """Fetch the letters, and yield those that are ready together.

        Raises StoreError, and fetches no more then.
        """
        ready, abandoned = ReadyLetters(), threading.Event()

        def fetch(channel: Channel, ref: LetterRef) -> None:
            with ready.failures_reported(), limiter.slot():
                called_off = stopping.is_set()
                ready.put(
                    Fetched(ref=ref)
                    if called_off
                    else self.fetcher.fetch(mailbox, channel, policies, ref)
                )

        def fetch_together(together: FetchesTogether) -> None:
            with ready.failures_reported(), together.batch(self.workers) as batch:
                letters = FetchTogether(self.fetcher, batch, policies, self._at_once)
                for fetched in letters.fetch(work, lambda: stopping.is_set() or abandoned.is_set()):
                    ready.put(fetched)

        try:
            if isinstance(mailbox, FetchesTogether):
                pool.submit(fetch_together, mailbox)
            else:
                for channel, ref in work:
                    pool.submit(fetch, channel, ref)
            left = len(work)
            while left:
                some = ready.take(left)
                left -= len(some)
                yield some
        finally:
            abandoned.set()
            pool.shutdown(cancel_futures=True)
            self.fetcher.content.discard(ready.staged())

    def _store_all(
        self,
        fetched: Generator[list[Fetched], None, None],
        summary: IntakeSummary,
        on_stored: Callable[[], None] = do_nothing,
    ) -> dict[_Place, datetime]:
        """Commit what was fetched.

        Returns the newest publish time for each party and resource, but none where a letter is
        missing.
        """
        newest: dict[_Place, datetime] = {}
        missing: set[_Place] = set()
        with closing(fetched):  # if the store fails, what has not begun is not begun
            for some in fetched:
                summary.fetched += sum(each.letter is not None for each in some)
                self.fetcher.content.publish([each for one in some for each in one.staged])
                for each in self._commit(some, summary):
                    if each.letter:
                        _advance(
                            newest, _place(each.ref), each.letter.message, self.fetcher.clock()
                        )
                    elif each.state in {None, SightingState.FAILING}:
                        missing.add(_place(each.ref))
                    self._note(each, summary)
                on_stored()
        return {place: time for place, time in newest.items() if place not in missing}

    def _commit(self, some: list[Fetched], summary: IntakeSummary) -> list[Fetched]:
        """Commit the letters together; if the database cannot hold one of them, each by itself.

        Returns the outcome of each.
        """
        letters = [each.letter for each in some if each.letter]
        if not letters:
            return some
        try:
            added = self._add(letters)
        except NotStorable as error:
            if len(some) == 1:
                return [Fetched(ref=some[0].ref, state=SightingState.FAILING, problem=str(error))]
            return [ended for each in some for ended in self._commit([each], summary)]
        summary.stored += len(added.new)
        self.counters.letters_stored.add(letters[0].message.mailbox, len(added.new))
        return [_or_duplicate(each, added.duplicates.get(each.ref.message_id)) for each in some]

    def _add(self, letters: Sequence[StoredLetter]) -> Added:
        """Store the letters, and hand on those deliveries that are claimed with that."""
        claimed = self.reservations.claim(letters, self.fetcher.clock())
        new: Sequence[StoredLetter] = ()
        try:
            added = self.store.letters.add(letters, claimed)
            new = added.new
        finally:
            self.reservations.stored(new, claimed)
        return added

    def _note(self, fetched: Fetched, summary: IntakeSummary) -> None:
        if fetched.letter:
            stored = fetched.letter
            _log.info(
                "letter stored",
                message=str(stored.message.id),
                service=stored.message.service,
                route=stored.decision.route,
            )
        if fetched.state is None:
            return
        self.store.letters.record_skipped(
            fetched.ref,
            fetched.state,
            self.fetcher.clock(),
            text_from(fetched.problem) or None,
            fetched.version,
        )
        summary.gone += fetched.state is SightingState.GONE
        summary.duplicates += fetched.state is SightingState.DUPLICATE
        summary.waiting += fetched.state is SightingState.WAITING
        if fetched.state is SightingState.FAILING:
            summary.problems.append(f"letter {fetched.ref.external_id}: {fetched.problem}")
        _log.warning(
            "letter not stored",
            external_id=fetched.ref.external_id,
            state=fetched.state.value,
            reason=fetched.problem,
        )


def _or_duplicate(fetched: Fetched, twin: UUID | None) -> Fetched:
    """Return what was fetched, or a duplicate if another mailbox brought the letter meanwhile."""
    return duplicate(fetched.ref, twin) if twin else fetched


def _note_listings(listed: Sequence[ListedChannel], summary: IntakeSummary) -> None:
    summary.listed = sum(len(each.refs) for each in listed)
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
    summary.unreachable = bool(listed) and all(
        each.problem and not each.refused and not each.refs for each in listed
    )


def _place(ref: LetterRef) -> _Place:
    return ref.party, ref.resource


def _advance(
    newest: dict[_Place, datetime], place: _Place, message: MessageValues, now: datetime
) -> None:
    """Note how far the place has been read.

    A letter dated later than now says nothing about that.
    """
    if message.requested_at and message.requested_at <= now:
        newest[place] = max(message.requested_at, newest.get(place, message.requested_at))
