"""Shares letters among worker processes, some at a time.

What a worker had in hand when it ended is carried again, in two halves, each by a worker that has
nothing else in hand: so a letter that ends every worker which fetches it is soon found, and the
others get through.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import count
from uuid import UUID

from daemon.config.loader import Configuration
from daemon.core.elapsed import elapsed
from daemon.core.errors import StoreError
from daemon.core.letter_batch import FetchesTogether
from daemon.core.model import SightingState
from daemon.core.pacing import PROCESSES
from daemon.core.ports import Mailbox
from daemon.delivery.local import LocalReport
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.intake.carrier import (
    Carried,
    Carrier,
    CarryProgress,
    Report,
    Work,
    note_skipped,
    place_of,
)
from daemon.intake.fetch import Fetched
from daemon.intake.mailboxes import poll_heartbeat
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.worker.messages import Chunk, TimeNow, UseSnapshot, pack_snapshot
from daemon.intake.worker.worker_client import WorkerClient, WorkerEnded
from daemon.intake.worker.worker_supervisor import WorkerSupervisor
from daemon.runtime.clock import Clock
from daemon.runtime.heartbeat import HEARTBEAT_INTERVAL, Heartbeats
from daemon.runtime.thread_pool import ThreadPool

_LANES = 1
"""Chunks that a worker has in hand for one mailbox, besides those of which little is left."""
_LITTLE = 2
"""Letters of a chunk that others do not wait for: of one that fails, for its retries, or of one
that comes slowly.
"""
_LINGERS = 0.25
"""Seconds without any letter of a chunk, after which little left of it is not waited for."""
_LINGERING = 3
"""For each lane, how many chunks of which little is left there may be."""
_LEAST, _MOST = 16, 256
"""Letters of a chunk."""
_ENDS_WORKERS = "a worker process has ended while it had this letter alone in hand; see its log"


@dataclass(kw_only=True)
class _Piece:
    work: Work
    alone: bool = False


class _LaneTurn:
    """One of so many turns; waits until it is free."""

    def __init__(self, turns: threading.Semaphore) -> None:
        turns.acquire()
        self._turns, self._has_ended = turns, False

    def end(self) -> None:
        """Leave it to another. May be called again."""
        if not self._has_ended:
            self._has_ended = True
            self._turns.release()


@dataclass(kw_only=True)
class _SharedWork:
    """The letters of one call, in pieces, and what has become of them. From several threads."""

    mailbox: str
    policies: MarkPolicies
    report: Report
    stopping: threading.Event
    at_once: int
    pieces: deque[_Piece]
    carried: Carried = field(default_factory=Carried)
    turns: threading.Semaphore
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: bool = False

    def todo(self) -> Generator[tuple[_Piece, _LaneTurn], None, None]:
        """Wait for a turn, and yield the next piece, until none is left.

        It ends as well when a piece has failed, or all is to stop.
        """
        while True:
            turn = _LaneTurn(self.turns)
            try:
                if self.failed or self.stopping.is_set() or not self.pieces:
                    return
                yield self.pieces.popleft(), turn
            except IndexError:  # another thread has taken it
                return
            finally:
                turn.end()

    def add(self, carried: Carried) -> None:
        """Add what became of a piece."""
        with self.lock:
            self.carried.add(carried)


class WorkerPool:
    """A LetterCarrier that shares the letters of a mailbox among workers."""

    def __init__(
        self,
        supervisor: WorkerSupervisor,
        here: Carrier,
        *,
        active: ActiveSnapshot,
        time_now: Callable[[], TimeNow],
        usable: Callable[[], Collection[str]],
        note_local: Callable[[LocalReport], None],
        tokens: Callable[[str, Collection[str]], Sequence[object]] = lambda *_: (),
        heartbeats: Heartbeats,
    ) -> None:
        """Keep the parts; `here` carries what workers cannot.

        `tokens` returns a mailbox's access tokens for some parties, for workers to use.
        """
        self._supervisor, self._here, self._active = supervisor, here, active
        self._time_now, self._usable, self._note_local = time_now, usable, note_local
        self._heartbeats, self._tokens = heartbeats, tokens
        self._at_start = active.configuration()
        self._numbers = count(1)
        self._packed: tuple[Snapshot, UseSnapshot] | None = None
        self._packing = threading.Lock()
        self._suspects: set[UUID] = set()
        """Letters with which a worker has ended that had nothing else in hand."""

    def carry(
        self,
        mailbox: Mailbox,
        policies: MarkPolicies,
        work: Work,
        stopping: threading.Event,
        report: Report,
    ) -> Carried:
        """As a LetterCarrier does; letters that are called off are of no account."""
        # others may know from their lists, in this process, where a letter is
        if not isinstance(mailbox, FetchesTogether):
            return self._here.carry(mailbox, policies, work, stopping, report)
        pieces = deque(self._pieces(work))
        lanes = min(len(pieces), _LANES * self._supervisor.number)
        job = _SharedWork(
            mailbox=mailbox.name,
            policies=policies,
            report=partial(self._reported, report),
            stopping=stopping,
            at_once=max(1, self._here.at_once() // lanes),
            pieces=pieces,
            turns=threading.Semaphore(lanes),
        )
        self._supervisor.want(lanes)
        threads = min(len(pieces), lanes * (1 + _LINGERING))
        with ThreadPool(threads, thread_name_prefix="carry") as pool:
            self._wait([pool.submit(self._carry_pieces, job) for _ in range(threads)], mailbox.name)
        return job.carried

    def _pieces(self, work: Work) -> Iterator[_Piece]:
        yield from (
            _Piece(work=[each], alone=True) for each in work if each[1].message_id in self._suspects
        )
        rest = [each for each in work if each[1].message_id not in self._suspects]
        share = -(-len(rest) // (2 * _LANES * self._supervisor.number))
        size = min(_MOST, max(_LEAST, share))
        yield from (_Piece(work=rest[start : start + size]) for start in range(0, len(rest), size))

    def _wait(self, lanes: Collection[Future[None]], mailbox: str) -> None:
        """Wait for all; the supervisor sees to it that no worker hangs. Raises what one raised."""
        while wait(lanes, timeout=HEARTBEAT_INTERVAL).not_done:
            self._heartbeats.beat(poll_heartbeat(mailbox))
        for each in lanes:
            each.result()

    def _carry_pieces(self, job: _SharedWork) -> None:
        # closed, so that others get the turn of what fails
        with closing(job.todo()) as todo:
            for piece, turn in todo:
                with self._supervisor.worker(job.stopping, alone=piece.alone) as worker:
                    if worker:
                        self._carry_piece(job, piece, worker, turn)

    def _carry_piece(
        self, job: _SharedWork, piece: _Piece, worker: WorkerClient, turn: _LaneTurn
    ) -> None:
        chunk = Chunk(
            number=next(self._numbers),
            mailbox=job.mailbox,
            policies=job.policies,
            work=piece.work,
            at_once=job.at_once,
            usable=self._usable(),
            time=self._time_now(),
            processes=PROCESSES.parts,
            tokens=self._tokens(job.mailbox, {ref.party for _, ref in piece.work}),
        )
        stored: list[int] = []

        def report(progress: CarryProgress) -> None:
            stored.append(progress.stored)
            self._supervisor.works()
            job.report(progress)

        try:
            result = worker.carry(self._snapshot(), chunk, report)
            _wait_for_most(result, len(piece.work), stored)
            turn.end()
            job.add(result.result())
            self._supervisor.works()
            self._suspects.difference_update(ref.message_id for _, ref in piece.work)
        except WorkerEnded:
            job.add(Carried(fetched=sum(stored), stored=sum(stored)))
            self._lost(job, piece)
        except BaseException as error:
            job.failed = True
            if isinstance(error, StoreError):
                self._supervisor.retire(worker)
            raise

    def _lost(self, job: _SharedWork, piece: _Piece) -> None:
        """Have the rest of a piece carried by others, or note the letter that ends workers."""
        store = self._here.store
        handled = store.letters.already_handled([ref for _, ref in piece.work], None)
        left = [each for each in piece.work if each[1].message_id not in handled]
        if len(left) == 1 and piece.alone and not job.stopping.is_set():
            (_, ref) = left[0]
            self._suspects.add(ref.message_id)
            lost = Fetched(ref=ref, state=SightingState.FAILING, problem=_ENDS_WORKERS)
            with job.lock:
                job.carried.missing.add(place_of(ref))
                note_skipped(store, lost, self._here.fetcher.clock(), job.carried)
            return
        half = -(-len(left) // 2)
        for some in (left[:half], left[half:]):
            if some:
                job.pieces.append(_Piece(work=some, alone=True))

    def _reported(self, report: Report, progress: CarryProgress) -> None:
        if progress.local.delivered or progress.local.failed:
            self._note_local(progress.local)
        failed = bool(progress.local.failed)
        report(CarryProgress(stored=progress.stored, left=progress.left or failed))

    def _snapshot(self) -> UseSnapshot:
        """Return the active snapshot for workers, packed once."""
        active = self._active.snapshot()
        with self._packing:
            if self._packed is None or self._packed[0] is not active:
                configuration = self._in_force(active.configuration)
                self._packed = active, pack_snapshot(configuration, active.table)
            return self._packed[1]

    def _in_force(self, edited: Configuration) -> Configuration:
        """Return it with the sections as at the start that need a restart.

        Otherwise a worker that is new would open another store than the service, and no lock would
        guard that.
        """
        start = self._at_start
        return replace(
            edited, store=start.store, mailboxes=start.mailboxes, delivery=start.delivery
        )


def _wait_for_most(result: Future[Carried], letters: int, stored: Sequence[int]) -> None:
    """Wait until a chunk has ended, or little is left of it and that does not come.

    `stored` grows by what each commit stores.
    """
    commits = -1
    while not wait([result], timeout=_LINGERS).done:
        if commits == len(stored) and letters - sum(stored) <= _LITTLE:
            return
        commits = len(stored)


def time_of(clock: Clock) -> TimeNow:
    """Return what the service's clock says, for workers."""
    line = clock() - timedelta(seconds=elapsed())
    return TimeNow(line=line, certain=clock.stretch() is not None)
