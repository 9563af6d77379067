"""From a reference to a stored letter: fetch, make the bytes durable, commit, and drop.

The order is the promise: bytes first, durable; then one transaction with the message, its
attachments, its deliveries and its marks. Several letters are fetched at a time, and those that are
ready together are committed together. In a worker process their deliveries on this machine follow
at once, in the thread that stores, while the next letters are fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from daemon.core.errors import NotStorable
from daemon.core.letter_batch import FetchesTogether
from daemon.core.model import LetterRef, MessageValues, SightingState
from daemon.core.outside_values import text_from
from daemon.core.ports import Channel, Mailbox
from daemon.delivery.local import LocalBatch, LocalReport
from daemon.intake.fetch import Fetched, Fetcher, duplicate
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.ready import ReadyLetters, without_unpublished
from daemon.intake.together import FetchTogether
from daemon.runtime.limiter import ConcurrencyLimiter
from daemon.runtime.thread_pool import ThreadPool
from daemon.store import Store, StoredLetter
from daemon.store.stored_letter import Added

_log = structlog.get_logger(__name__)
_WORKERS_BEHIND = 2
_WAITING = 128
"""Letters that are fetched and not stored, from which on hardly any more are fetched."""
Place = tuple[str, str]
"""A channel's party and resource."""
Work = Sequence[tuple[Channel, LetterRef]]


@dataclass(kw_only=True)
class Carried:
    """What became of some letters, in numbers, and what went wrong, in words."""

    fetched: int = 0
    stored: int = 0
    gone: int = 0
    duplicates: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)
    newest: dict[Place, datetime] = field(default_factory=dict)
    """The newest publish time of what is stored, by place."""
    missing: set[Place] = field(default_factory=set)
    """Places of which a letter is missing."""

    def add(self, other: Carried) -> None:
        """Add what became of other letters."""
        for name in ("fetched", "stored", "gone", "duplicates", "waiting"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems += other.problems
        self.missing |= other.missing
        for place, time in other.newest.items():
            self.newest[place] = max(time, self.newest.get(place, time))

    def read_up_to(self, place: Place) -> datetime | None:
        """Return the newest publish time up to which every letter of the place is stored."""
        return None if place in self.missing else self.newest.get(place)


@dataclass(frozen=True, kw_only=True)
class CarryProgress:
    """What one commit of letters has brought."""

    stored: int
    left: bool
    """Whether something is left to the outbox: a delivery or a mark."""
    local: LocalReport = field(default_factory=LocalReport)


Report = Callable[[CarryProgress], None]


class LetterCarrier(Protocol):
    """Fetches and stores letters whose references are known."""

    def carry(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Work,
        stopping: threading.Event,
        report: Report,
    ) -> Carried:
        """Fetch and store the letters; `report` is called after each commit, from any thread.

        Begins no more when `stopping` is set. Whatever is wrong with a letter is in the result,
        and affects no other. Raises StoreError if nothing can be kept.
        """


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A LetterCarrier that does so in this process."""

    store: Store
    fetcher: Fetcher
    workers: int = 8
    """Calls to the mailbox at a time."""
    backlog: Callable[[], bool] = lambda: False
    """Whether letters are due but not yet in flight: then there are only `_WORKERS_BEHIND` calls at
    a time.
    """
    local: LocalBatch | None = None
    """Makes deliveries right after they are stored; without it the outbox does."""

    def carry(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Work,
        stopping: threading.Event,
        report: Report,
        unpublished: set[LetterRef] | None = None,
    ) -> Carried:
        """As a LetterCarrier does.

        With `unpublished`, letters that the mailbox does not have are added to it, and not noted.
        """
        carried = Carried()
        # if the store fails, what has not begun is not begun
        with closing(self._fetch_all(mailbox, policies, work, stopping)) as fetched:
            for some in without_unpublished(fetched, unpublished):
                carried.fetched += sum(each.letter is not None for each in some)
                self.fetcher.content.publish([each for one in some for each in one.staged])
                for each in self._commit(some, carried, report):
                    self._note(each, carried)
        return carried

    def at_once(self) -> int:
        """Return how many calls to make at a time now."""
        return min(_WORKERS_BEHIND, self.workers) if self.backlog() else self.workers

    def limiter(self) -> ConcurrencyLimiter:
        """Return a limit on calls, which is lower while there is a backlog."""
        return ConcurrencyLimiter(
            self.workers, reduced_limit=_WORKERS_BEHIND, yield_priority=self.backlog
        )

    def _fetch_all(
        self, mailbox: Mailbox, policies: MarkPolicies, work: Work, stopping: threading.Event
    ) -> Generator[list[Fetched], None, None]:
        """Fetch the letters, and yield those that are ready together.

        Raises StoreError, and fetches no more then.
        """
        ready, abandoned = ReadyLetters(), threading.Event()

        def at_once() -> int:
            return 1 if len(ready) > _WAITING else self.at_once()

        def fetch_together(together: FetchesTogether) -> None:
            with ready.failures_reported(), together.batch(self.workers) as batch:
                letters = FetchTogether(self.fetcher, batch, policies, at_once)
                for fetched in letters.fetch(work, lambda: stopping.is_set() or abandoned.is_set()):
                    ready.put(fetched)

        pool = ThreadPool(self.workers, thread_name_prefix="fetch")
        try:
            if isinstance(mailbox, FetchesTogether):
                pool.submit(fetch_together, mailbox)
            else:
                self._fetch_each(pool, ready, mailbox, policies, work, stopping)
            left = len(work)
            while left:
                some = ready.take(left)
                left -= len(some)
                yield some
        finally:
            abandoned.set()
            pool.shutdown(cancel_futures=True)
            self.fetcher.content.discard(ready.staged())

    def _fetch_each(
        self,
        pool: ThreadPoolExecutor,
        ready: ReadyLetters,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Work,
        stopping: threading.Event,
    ) -> None:
        limiter = self.limiter()

        def fetch(channel: Channel, ref: LetterRef) -> None:
            with ready.failures_reported(), limiter.slot():
                called_off = stopping.is_set()
                ready.put(
                    Fetched(ref=ref)
                    if called_off
                    else self.fetcher.fetch(mailbox, channel, policies, ref)
                )

        for channel, ref in work:
            pool.submit(fetch, channel, ref)

    def _commit(self, some: list[Fetched], carried: Carried, report: Report) -> list[Fetched]:
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
            return [ended for each in some for ended in self._commit([each], carried, report)]
        carried.stored += len(added.new)
        for letter in added.new:
            _log_stored(letter)
        local = LocalReport()
        try:
            if self.local and added.claimed:
                local = self.local.deliver(added)
        finally:  # they are stored, also if a full disk then keeps the end of a delivery out
            report(CarryProgress(stored=len(added.new), left=_is_left(added), local=local))
        return [_or_not_stored(each, added) for each in some]

    def _add(self, letters: Sequence[StoredLetter]) -> Added:
        claimed = self.local.claim(letters) if self.local else {}
        return self.store.letters.add(letters, claimed, self.fetcher.content.has)

    def _note(self, fetched: Fetched, carried: Carried) -> None:
        """Note what became of one letter, with what this says of its place."""
        place = place_of(fetched.ref)
        if fetched.letter:
            _advance(carried.newest, place, fetched.letter.message, self.fetcher.clock())
        elif fetched.state in {None, SightingState.FAILING}:
            carried.missing.add(place)
        note_skipped(self.store, fetched, self.fetcher.clock(), carried)


def note_skipped(store: Store, fetched: Fetched, now: datetime, carried: Carried) -> None:
    """Record a letter that is not stored, if there is a reason. Raises StoreError."""
    if fetched.state is None:
        return
    store.letters.record_skipped(
        fetched.ref, fetched.state, now, text_from(fetched.problem) or None, fetched.version
    )
    carried.gone += fetched.state is SightingState.GONE
    carried.duplicates += fetched.state is SightingState.DUPLICATE
    carried.waiting += fetched.state is SightingState.WAITING
    if fetched.state is SightingState.FAILING:
        carried.problems.append(f"letter {fetched.ref.external_id}: {fetched.problem}")
    _log.warning(
        "letter not stored",
        external_id=fetched.ref.external_id,
        state=fetched.state.value,
        reason=fetched.problem,
    )


def _log_stored(letter: StoredLetter) -> None:
    _log.info(
        "letter stored",
        message=str(letter.message.id),
        service=letter.message.service,
        route=letter.decision.route,
    )


def _is_left(added: Added) -> bool:
    return any(
        letter.marks or any(each.id not in added.claimed for each in letter.deliveries)
        for letter in added.new
    )


def _or_not_stored(fetched: Fetched, added: Added) -> Fetched:
    """Return what was fetched, or why it was not stored.

    Another mailbox may have brought the letter meanwhile, or its bytes were being removed.
    """
    if twin := added.duplicates.get(fetched.ref.message_id):
        return duplicate(fetched.ref, twin)
    if fetched.letter and fetched.ref.message_id in added.lacking:
        problem = "an attachment was being removed while it was needed again; it is fetched again"
        return Fetched(ref=fetched.ref, state=SightingState.FAILING, problem=problem)
    return fetched


def place_of(ref: LetterRef) -> Place:
    """Return where the letter is listed."""
    return ref.party, ref.resource


def _advance(
    newest: dict[Place, datetime], place: Place, message: MessageValues, now: datetime
) -> None:
    """Note how far the place has been read.

    A letter dated later than now says nothing about that.
    """
    if message.requested_at and message.requested_at <= now:
        newest[place] = max(message.requested_at, newest.get(place, message.requested_at))
