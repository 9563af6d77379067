"""From the outbox to destinations: claim, hand over, and record one of three outcomes.

This is the only place, with the store, where a delivery changes its state. A destination only
reports. Attempts are made by several threads; one thread records their results, several at a time,
because a commit costs nearly the same for one and for many.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from daemon.core.errors import PostmottakError, StoreError, TemporaryFailure
from daemon.core.model import Outcome
from daemon.core.node_role import NodeRole, SoleProcess
from daemon.core.parcels import Receipt
from daemon.core.ports import (
    AwaitsPickup,
    BatchDestination,
    Destination,
    KeepsDedupRecords,
)
from daemon.delivery.attempts import AttemptJudge, AttemptResult
from daemon.delivery.corrections import CorrectsRecords, NeverCorrected
from daemon.delivery.dedup import DedupCleanup
from daemon.delivery.destination_health import DestinationHealth
from daemon.delivery.handover import Handover
from daemon.delivery.in_flight import InFlight
from daemon.delivery.leases import LeaseRenewal
from daemon.delivery.local import LEASE, LocalReport, shared_by_processes
from daemon.delivery.poison import PoisonTurn
from daemon.delivery.served import ServedDestinations
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot, SnapshotUse
from daemon.delivery.throttle import CONCURRENCY, DestinationQueues
from daemon.delivery.timings import DeliveryTimings
from daemon.delivery.worker_results import AttemptCounter, WorkerResults
from daemon.runtime.heartbeat import OUTBOX, Heartbeat, Heartbeats
from daemon.runtime.process import process_name
from daemon.runtime.thread_pool import ThreadPool
from daemon.store import Claim, Store
from daemon.store.content import ContentStore

_POOL = 56  # attempts at a time, at all destinations together
# in flight at a destination that takes batches: one is delivered while the other is recorded and
# the next one claimed
_BATCHES = 2
_UNKNOWN = ""  # the queue of deliveries to destinations that the configuration does not have
Clock = Callable[[], datetime]


class Dispatch:
    """Hands due deliveries to destinations, by the snapshot that is active as an attempt begins."""

    def __init__(  # noqa: PLR0913  # all that takes part in a delivery
        self,
        *,
        store: Store,
        content: ContentStore,
        active: ActiveSnapshot,
        clock: Clock,
        give_up_after: timedelta,
        heartbeats: Heartbeats | None = None,
        steady: Clock | None = None,
        corrections: CorrectsRecords | None = None,
        role: NodeRole | None = None,
    ) -> None:
        """Keep the parts.

        `steady` is a clock that is never set, for pauses and durations; without it, `clock` is
        used.
        """
        self._store, self._active, self._clock = store, active, clock
        self._give_up_after = give_up_after
        self._heartbeats = heartbeats or Heartbeats()
        self._steady, self._corrections = steady or clock, corrections or NeverCorrected()
        self.role = role or SoleProcess(process_name())
        self._handover = Handover(content, self.role.confirm)
        self._served = ServedDestinations(self.role)
        self._dedup = DedupCleanup(store)
        self._poison_turn = PoisonTurn()
        self._waits_for_poison: Collection[str] = ()
        self.queues = DestinationQueues()
        self.counted = AttemptCounter()
        self.timings = DeliveryTimings()
        self._worker_results = WorkerResults(self.counted, self.timings)
        self.usable_by_workers: Collection[str] = ()
        """The destinations to which worker processes may deliver now. From any thread."""
        self.leases = LeaseRenewal(store, clock, self._steady)
        self.new_work = threading.Event()
        """Set when letters are stored, so that a round in progress delivers them soon."""
        self.asked = threading.Event()
        """Set when an operator wants what is due tried now, also at paused destinations."""
        self.backlog = threading.Event()
        """Set while more is due on this machine than may be in flight, so that fetching can slow
        down.
        """
        self.changed = threading.Event()
        """Set when deliveries to a destination begin or cease to fail."""
        self._health = DestinationHealth(self.queues, self._steady, self.changed.set)

    def note_local(self, report: LocalReport) -> None:
        """Take the results of a worker process's deliveries. May be called from any thread."""
        self._worker_results.put(report)

    def worker_ended(self) -> None:
        """Clean up after a worker process that has ended. May be called from any thread."""
        self._dedup.try_again()
        self.new_work.set()

    def deliver_due(self, stopping: threading.Event) -> Counter[Outcome]:
        """Attempt what is due now.

        Returns when all of it is attempted, or soon after `stopping` is set. Deliveries to a
        destination that keeps failing stay due until its pause is over. Call it from one thread at
        a time. Raises StoreError if the store fails; attempts in flight are repeated then.
        """
        with ThreadPool(_POOL, thread_name_prefix="deliver") as pool:
            work = InFlight(pool)
            with self._active.use() as snapshot:
                self._begin_round(work, snapshot)
            try:
                self._go_round(work, stopping)
            except StoreError:
                wait(work.running)
                with suppress(StoreError):  # the first failure is what counts
                    self._keep(work, list(work.running))
                raise
            return work.outcomes

    def _begin_round(self, work: InFlight, snapshot: Snapshot) -> None:
        self.queues.begin_round({**self._served.limits(snapshot), _UNKNOWN: CONCURRENCY})
        for name, destination in self._dedup.untried(snapshot.destinations):
            self._submit_cleanup(work, name, destination)

    def _go_round(self, work: InFlight, stopping: threading.Event) -> None:
        while True:
            self._heartbeats.beat(OUTBOX)
            self._corrections.apply()
            now = self._clock()
            running = work.running.values()
            self.leases.look(now, (claim for _, claims in running for claim in claims))
            self._note_worker_results()
            if self.new_work.is_set():
                self.new_work.clear()
                self.queues.announce_new_work()
            if self.asked.is_set():
                self.asked.clear()
                self.queues.end_pauses(self._steady())
            with self._active.use() as snapshot:
                self._begin_due(work, snapshot, now, stopping)
            if not work.under_way:
                return
            self._keep(work, work.some_ended())

    def _begin_due(
        self, work: InFlight, snapshot: Snapshot, now: datetime, stopping: threading.Event
    ) -> None:
        """Begin the attempts and cleanups that are due.

        Each keeps its destination open until it ends.
        """
        if not stopping.is_set():
            self._served.look(snapshot)
            for queue, claims in self._claims(work, snapshot.destinations, now):
                destination = snapshot.destinations.get(claims[0].delivery.destination)
                attempt = partial(self._attempt, snapshot, self._active.use(destination))
                work.begin(attempt, queue, claims, self._steady())
            self._signal_backlog(snapshot.destinations)
            self._open_to_workers(work, snapshot.destinations)
        for name, keeper, delivered in self._dedup.ready(
            snapshot.destinations, rest=not work.under_way
        ):
            self._submit_cleanup(work, name, keeper, delivered)

    def _open_to_workers(self, work: InFlight, destinations: Mapping[str, Destination]) -> None:
        """Let worker processes deliver to local destinations that work, and at which none waits."""
        steady = self._steady()
        self.usable_by_workers = [
            name
            for name, each in destinations.items()
            if self.role.runs()
            and name not in self._served.elsewhere
            and shared_by_processes(each)
            and self.queues[name].takes_new_letters(steady)
            and not work.isolated
            and name not in self._waits_for_poison
        ]

    def _submit_cleanup(
        self,
        work: InFlight,
        name: str,
        destination: KeepsDedupRecords,
        delivered: Sequence[UUID] = (),
    ) -> None:
        use = self._active.use(destination)
        work.submit_cleanup(self._clean_up, use, name, destination, delivered)

    def _clean_up(
        self,
        use: SnapshotUse,
        name: str,
        destination: KeepsDedupRecords,
        delivered: Sequence[UUID],
    ) -> None:
        with use:
            self._dedup.flush(name, destination, delivered)

    def _signal_backlog(self, destinations: Mapping[str, Destination]) -> None:
        """Set `backlog` if a destination on this machine has one: it waits for the processor.

        Other destinations wait for their receivers.
        """
        if any(
            self.queues[name].has_backlog
            for name, each in destinations.items()
            if isinstance(each, BatchDestination)
        ):
            self.backlog.set()
        else:
            self.backlog.clear()

    def next_due(self) -> datetime | None:
        """Return when the next delivery is due at an unpaused destination, or a pause ends.

        None if nothing is waiting.
        """
        now, steady = self._clock(), self._steady()
        due, opens = (
            self._served.next_due(self._store.outbox, self.queues.paused(steady)),
            self.queues.next_reopening(steady),
        )
        return min([time for time in (due, opens and now + (opens - steady)) if time], default=None)

    def _claims(
        self, work: InFlight, destinations: Mapping[str, Destination], now: datetime
    ) -> list[tuple[str, Sequence[Claim]]]:
        """Claim as much as may be in flight, or one poison message, which is attempted alone."""
        if work.isolated or not self.role.runs():
            return []
        queues = [*destinations, _UNKNOWN]
        closed = self._waits_for_poison = self._closed(work, queues, now)
        found = self._due(destinations, closed, now)
        if not found and not work.running:
            found = self._claim_poison(now)
            if not found and closed and self._poison_turn.waits_since is None:
                found = self._due(destinations, (), now)
        for name, claims in found:
            self.queues[name].running += len(claims)
        return found

    def _closed(self, work: InFlight, queues: Sequence[str], now: datetime) -> Collection[str]:
        """Return the queues that begin nothing, because a poison message is next.

        It is attempted as soon as nothing else is in flight.
        """
        steady = self._steady()
        self._poison_turn.over(steady)
        if self._poison_turn.should_check(steady):
            waits = self._store.outbox.poison_waits(now, self._served.elsewhere)
            self._poison_turn.checked(steady, waits=waits)
        return self._poison_turn.closed(steady, queues, work.oldest())

    def _claim_poison(self, now: datetime) -> list[tuple[str, Sequence[Claim]]]:
        owner, elsewhere = self.role.owner, self._served.elsewhere
        ours = owner if self.role.node else ""
        claims = self._store.outbox.claim_poison(owner, now, LEASE, ours, elsewhere)
        if claims:
            self._poison_turn.begun(self._steady())
        else:
            # one that waits was not claimed, because a worker process has claims
            waits = self._store.outbox.poison_waits(now, elsewhere)
            self._poison_turn.checked(self._steady(), waits=waits)
        return [(_UNKNOWN, [claim]) for claim in claims]

    def _due(
        self, destinations: Mapping[str, Destination], closed: Collection[str], now: datetime
    ) -> list[tuple[str, Sequence[Claim]]]:
        names = [*destinations]
        return [
            (name, some)
            for name in [*names, _UNKNOWN]
            if name not in closed and name not in self._served.elsewhere
            for some in _batches(destinations.get(name), self._claim(name, names, now))
        ]

    def _claim(self, name: str, names: Sequence[str], now: datetime) -> list[Claim]:
        queue, steady = self.queues[name], self._steady()
        if not queue.should_claim(steady):
            return []
        free_slots = queue.free_slots(steady)
        where = {"exclude": names} if name == _UNKNOWN else {"only": [name]}
        outbox, owner = self._store.outbox, self.role.owner
        claim = partial(outbox.claim, owner, now, LEASE, free_slots, **where)
        claims = claim()
        if not claims and queue.closed_until and (test := self._health.one_put_off(name)):
            outbox.make_due(test, now)
            claims = claim()
        queue.claimed(steady, more=len(claims) == free_slots)
        return claims

    def _keep(self, work: InFlight, finished: Sequence[Future[list[AttemptResult]]]) -> None:
        """Record the results of attempts, and collect records to remove at their destinations.

        Then raise what one of them has raised, if any has.
        """
        whole = [each for each in finished if not each.exception()]
        attempts = [
            (queue, attempt)
            for each in whole
            for queue in [work.running.pop(each)[0]]
            for attempt in each.result()
        ]
        if attempts:
            self._record(work, attempts)
        for each in finished:
            each.result()

    def _record(self, work: InFlight, attempts: Sequence[tuple[str, AttemptResult]]) -> None:
        ours = self._store.outbox.end([attempt.ending for _, attempt in attempts])
        due_now = {each for queue, attempt in attempts for each in self._finished(queue, attempt)}
        for _, attempt in attempts:
            delivery, outcome = attempt.ending.claim.delivery, attempt.ending.outcome
            self._health.log(attempt, ours=delivery.id in ours)
            if delivery.id in ours:
                work.outcomes[outcome] += 1
                self.counted.add(delivery.destination, outcome)
                self.timings.note(attempt.ending)
                if outcome is Outcome.DELIVERED:
                    self._dedup.collect(delivery.destination, delivery.id)
        if due_now:
            self._store.outbox.make_due(due_now, self._clock())

    def _finished(self, name: str, attempt: AttemptResult) -> Collection[UUID]:
        """Note the end of an attempt; return what is due now because an outage is over."""
        self.queues[name].running -= 1
        return self._health.judged(name, attempt)

    def _note_worker_results(self) -> None:
        """Note what worker processes have found out about destinations."""
        due_now: set[UUID] = set()
        for report in self._worker_results.take():
            due_now |= {*self._health.reported(report)}
            if report.untidy:
                self._dedup.try_again()
        if due_now:
            self._store.outbox.make_due(due_now, self._clock())

    def _attempt(
        self, snapshot: Snapshot, use: SnapshotUse, claims: Sequence[Claim]
    ) -> list[AttemptResult]:
        """Attempt deliveries to one destination, in one call if it takes batches."""
        with use:
            began, stretch = self._steady(), self._corrections.stretch()
            name = claims[0].delivery.destination
            with self._heartbeats.task(f"delivery {claims[0].id} to {name}") as beat:
                outcomes = self._deliver(snapshot, name, claims, beat)
            now = self._clock()
            judge = AttemptJudge(
                started_at=now - (self._steady() - began),
                now=now,
                give_up_after=self._give_up_after,
                awaiting_pickup=_awaits_pickup(snapshot.destinations.get(name)),
                may_give_up=stretch is not None and stretch == self._corrections.stretch(),
            )
            return [
                judge.of(claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)
            ]

    def _deliver(
        self, snapshot: Snapshot, name: str, claims: Sequence[Claim], beat: Heartbeat
    ) -> Sequence[Receipt | PostmottakError]:
        destination = snapshot.destinations.get(name)
        if destination is None:
            missing = TemporaryFailure(
                f"the destination {name!r} is not in the configuration; add it again, or hold "
                "the delivery"
            )
            return [missing for _ in claims]
        return self._handover.deliver(destination, snapshot.table, claims, beat)


def _awaits_pickup(destination: Destination | None) -> bool:
    return isinstance(destination, AwaitsPickup) and destination.await_pickup is not None


def _batches(destination: Destination | None, claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
    """Yield the claims for each call: one at a time, unless the destination takes batches."""
    size = destination.concurrency // _BATCHES if isinstance(destination, BatchDestination) else 1
    for start in range(0, len(claims), size):
        yield claims[start : start + size]
