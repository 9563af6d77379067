"""From the outbox to destinations: claim, hand over, and record one of three outcomes.

This is the only place, with the store, where a delivery changes its state. A destination only
reports. Attempts are made by several threads; what came of them is kept by one, for several at
once, because a commit costs nearly the same for one and for many.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from os import getpid
from typing import BinaryIO

from daemon.core.connector_calls import call_connector
from daemon.core.document import letter_document
from daemon.core.errors import ConnectorFault, PostmottakError, StoreError, TemporaryFailure
from daemon.core.model import KEPT_STATES, Outcome
from daemon.core.parcels import ParcelPart, Receipt
from daemon.core.ports import AwaitsPickup, BatchDestination, Destination, Parcel
from daemon.delivery.attempts import AttemptJudge, AttemptResult, log_attempt
from daemon.delivery.dedup import DedupCleanup
from daemon.delivery.in_flight import InFlight
from daemon.delivery.poison import PoisonTurn
from daemon.delivery.throttle import CONCURRENCY, DestinationQueues
from daemon.routing.table import Table
from daemon.runtime.heartbeat import OUTBOX, Heartbeat, Heartbeats, with_heartbeat
from daemon.runtime.thread_pool import ThreadPool
from daemon.store import Claim, Store
from daemon.store.content import ContentStore

_LEASE = timedelta(minutes=15)
_RENEW_EVERY = _LEASE / 3
_SET = timedelta(
    minutes=1
)  # a clock that has moved by more was set, and leases end at another time than was meant
_POOL = 56  # attempts at a time, at all destinations together
# at a time, where deliveries are handed over so: one is under way while the other is recorded, and
# the next one claimed
_BATCHES = 2
_UNKNOWN = ""  # the lane of deliveries to destinations that the configuration does not have
Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Hands due deliveries to destinations.

    `destinations` and `table` are asked anew for each delivery, so they may change.
    """

    store: Store
    content: ContentStore
    destinations: Callable[[], Mapping[str, Destination]]
    table: Callable[[], Table]
    clock: Clock
    give_up_after: timedelta
    steady: Clock | None = None
    """A clock that is never set, for pauses and durations; without it, `clock` serves."""
    stretch: Callable[[], int | None] = lambda: 0
    """Which stretch of time without a correction of the clock this is; None while nothing may be
    given up.
    """
    mend: Callable[[], None] = lambda: None
    """Puts right what was recorded at a time that has been corrected since. Called often, and by
    this thread.
    """
    queues: DestinationQueues = field(default_factory=DestinationQueues)
    counted: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    """Attempts that have ended, by destination and outcome; only ever growing."""
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    new_work: threading.Event = field(default_factory=threading.Event)
    """Set by whoever has stored letters, so that a round which is under way takes them along soon."""
    poison_turn: PoisonTurn = field(default_factory=PoisonTurn)
    backlog: threading.Event = field(default_factory=threading.Event)
    """Set while more is due on this machine than there is room for, so that nobody hurries to bring
    more.
    """

    @cached_property
    def _dedup(self) -> DedupCleanup:
        return DedupCleanup(self.store)

    def deliver_due(self, stopping: threading.Event) -> Counter[Outcome]:
        """Attempt what is due now.

        Returns when all of it is attempted, or soon after `stopping` is set.

        Deliveries to a destination that keeps failing stay due until its pause is over. Call it
        from one thread at a time. Raises StoreError if the store fails; attempts under way are
        repeated then.
        """
        limits = {
            name: each.concurrency if isinstance(each, BatchDestination) else CONCURRENCY
            for name, each in self.destinations().items()
        }
        self.queues.begin_round({**limits, _UNKNOWN: CONCURRENCY})
        with ThreadPool(_POOL, thread_name_prefix="deliver") as pool:
            work = InFlight(pool)
            for name, destination in self._dedup.untried(self.destinations()):
                work.submit_cleanup(self._dedup.flush, name, destination)
            try:
                self._go_round(work, stopping)
            except StoreError:
                wait(work.running)
                with suppress(StoreError):  # the first failure is what counts
                    self._keep(work, list(work.running))
                raise
            return work.outcomes

    def _go_round(self, work: InFlight, stopping: threading.Event) -> None:
        renewed_at, ahead = self._steady(), self._ahead(self.clock())
        while True:
            self.heartbeats.beat(OUTBOX)
            self.mend()
            now = self.clock()
            if self._steady() - renewed_at >= _RENEW_EVERY or abs(self._ahead(now) - ahead) >= _SET:
                renewed_at, ahead = self._steady(), self._ahead(now)
                self.store.outbox.renew(
                    [claim for _, claims in work.running.values() for claim in claims], now + _LEASE
                )
            if self.new_work.is_set():
                self.new_work.clear()
                self.queues.announce_new_work()
            if not stopping.is_set():
                for queue, claims in self._claims(work, now):
                    work.begin(self._attempt, queue, claims, self._steady())
                self._signal_backlog()
            for name, destination, delivered in self._dedup.ready(
                self.destinations(), rest=not work.under_way
            ):
                work.submit_cleanup(self._dedup.flush, name, destination, delivered)
            if not work.under_way:
                return
            self._keep(work, work.some_ended())

    def _steady(self) -> datetime:
        return (self.steady or self.clock)()

    def _ahead(self, now: datetime) -> timedelta:
        """How far the time is from that of the clock which is never set: it changes when the clock was set, or the machine has slept."""
        return now - self._steady()

    def _signal_backlog(self) -> None:
        """Tell of destinations on this machine: what they wait for is the processor.

        What others wait for is their other side.
        """
        if any(
            self.queues[name].has_backlog
            for name, each in self.destinations().items()
            if isinstance(each, BatchDestination)
        ):
            self.backlog.set()
        else:
            self.backlog.clear()

    def next_due(self) -> datetime | None:
        """When a delivery is next due that a lane has room for.

        None if nothing waits for a time.
        """
        now, steady = self.clock(), self._steady()
        due, opens = (
            self.store.outbox.next_due(exclude=self.queues.paused(steady)),
            self.queues.next_reopening(steady),
        )
        return min([time for time in (due, opens and now + (opens - steady)) if time], default=None)

    def _claims(self, work: InFlight, now: datetime) -> list[tuple[str, Sequence[Claim]]]:
        """Claim what the lanes have room for, or one delivery that is suspected of killing us, which is attempted alone."""
        if work.isolated:
            return []
        queues = [*self.destinations(), _UNKNOWN]
        closed = self._closed(work, queues, now)
        found = self._due(queues, closed, now)
        if not found and not work.running:
            found = self._claim_poison(now) or self._due(queues, () if closed else queues, now)
        for name, claims in found:
            self.queues[name].running += len(claims)
        return found

    def _closed(self, work: InFlight, queues: Sequence[str], now: datetime) -> Collection[str]:
        """The lanes that begin nothing, for a suspect is to be attempted as soon as nothing else is under way."""
        steady = self._steady()
        self.poison_turn.over(steady)
        if work.running and self.poison_turn.is_worth_a_look(steady):
            self.poison_turn.looked(steady, waits=self.store.outbox.poison_waits(now))
        return self.poison_turn.closed(steady, queues, work.oldest())

    def _claim_poison(self, now: datetime) -> list[tuple[str, Sequence[Claim]]]:
        claims = self.store.outbox.claim_poison(self._owner, now, _LEASE)
        if claims:
            self.poison_turn.begun(self._steady())
        else:
            self.poison_turn.looked(self._steady(), waits=False)
        return [(_UNKNOWN, [claim]) for claim in claims]

    def _due(
        self, queues: Sequence[str], closed: Collection[str], now: datetime
    ) -> list[tuple[str, Sequence[Claim]]]:
        names = queues[:-1]
        return [
            (name, some)
            for name in queues
            if name not in closed
            for some in self._batches(name, self._claim(name, names, now))
        ]

    def _batches(self, name: str, claims: Sequence[Claim]) -> Iterator[Sequence[Claim]]:
        """The claims as they are attempted: one by one, but for a destination that takes several in one call."""
        destination = self.destinations().get(name)
        size = (
            destination.concurrency // _BATCHES if isinstance(destination, BatchDestination) else 1
        )
        for start in range(0, len(claims), size):
            yield claims[start : start + size]

    def _claim(self, name: str, names: Sequence[str], now: datetime) -> list[Claim]:
        queue, steady = self.queues[name], self._steady()
        if not queue.should_claim(steady):
            return []
        free_slots = queue.free_slots(steady)
        where = {"exclude": names} if name == _UNKNOWN else {"only": [name]}
        claims = self.store.outbox.claim(self._owner, now, _LEASE, free_slots, **where)
        queue.claimed(steady, more=len(claims) == free_slots)
        return claims

    @property
    def _owner(self) -> str:
        return f"{socket.gethostname()}:{getpid()}"

    def _keep(self, work: InFlight, finished: Sequence[Future[list[AttemptResult]]]) -> None:
        """Record what came of attempts, and settle with their destinations.

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
        ours = self.store.outbox.end([attempt.ending for _, attempt in attempts])
        for queue, attempt in attempts:
            self.queues[queue].finished(self._steady(), failed=attempt.destination_down)
            delivery, outcome = attempt.ending.claim.delivery, attempt.ending.outcome
            log_attempt(attempt, ours=delivery.id in ours)
            if delivery.id in ours:
                work.outcomes[outcome] += 1
                self.counted[delivery.destination, outcome] += 1
                if outcome is Outcome.DELIVERED:
                    self._dedup.collect(delivery.destination, delivery.id)

    def _attempt(self, claims: Sequence[Claim]) -> list[AttemptResult]:
        """Attempt deliveries to one destination, together if it takes them so."""
        began, stretch, name = self._steady(), self.stretch(), claims[0].delivery.destination
        with self.heartbeats.task(f"delivery {claims[0].id} to {name}") as beat:
            outcomes = self._deliver(name, claims, beat)
        now = self.clock()
        judgement = AttemptJudge(
            started_at=now - (self._steady() - began),
            now=now,
            give_up_after=self.give_up_after,
            awaiting_pickup=self._awaits_pickup(name),
            may_give_up=stretch is not None and stretch == self.stretch(),
        )
        return [
            judgement.of(claim, outcome) for claim, outcome in zip(claims, outcomes, strict=True)
        ]

    def _deliver(
        self, name: str, claims: Sequence[Claim], beat: Heartbeat
    ) -> Sequence[Receipt | PostmottakError]:
        destination = self.destinations().get(name)
        if destination is None:
            missing = TemporaryFailure(
                f"there is no destination {name!r} in the configuration; add it again, or "
                "hold the delivery"
            )
            return [missing for _ in claims]
        parcels = [
            call_connector(
                partial(self._parcel, claim, beat), destination=name, delivery=str(claim.id)
            )
            for claim in claims
        ]
        outcomes = iter(
            _hand_over(destination, [each for each in parcels if isinstance(each, Parcel)])
        )
        return [next(outcomes) if isinstance(each, Parcel) else each for each in parcels]

    def _awaits_pickup(self, name: str) -> bool:
        destination = self.destinations().get(name)
        return isinstance(destination, AwaitsPickup) and destination.await_pickup is not None

    def _parcel(self, claim: Claim, beat: Heartbeat) -> Parcel:
        parts = tuple(
            ParcelPart(
                name=each.safe_name,
                media_type=each.media_type,
                size=each.size or 0,
                sha256=each.sha256,
                open=partial(self._open, each.sha256, beat),
            )
            for each in claim.attachments
            if each.state in KEPT_STATES and each.sha256
        )
        return Parcel(
            delivery_id=claim.id,
            generation=claim.delivery.generation,
            destination=claim.delivery.destination,
            addressees=self.table().addressees(claim.delivery.recipients),
            document=letter_document(
                claim.message, claim.attachments, claim.decision, claim.delivery
            ),
            body=claim.message.body.encode(),
            parts=parts,
            beat=beat,
            progress=claim.delivery.progress or {},
        )

    def _open(self, sha256: str, beat: Heartbeat) -> BinaryIO:
        return with_heartbeat(self.content.open(sha256), beat)


def _hand_over(
    destination: Destination, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    """What came of each parcel, in their order.

    A fault of the connector is the outcome of those that it befell.
    """
    if isinstance(destination, BatchDestination) and parcels:
        return _hand_over_together(destination, destination.name, parcels)
    return [
        call_connector(
            partial(destination.deliver, parcel),
            destination=destination.name,
            delivery=str(parcel.delivery_id),
        )
        for parcel in parcels
    ]


def _hand_over_together(
    destination: BatchDestination, name: str, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    """As `_hand_over`.

    If the connector failed at several together, each is handed over alone: one of them may be to
    blame.
    """
    outcome = call_connector(partial(_whole_batch, destination, parcels), destination=name)
    if isinstance(outcome, ConnectorFault) and len(parcels) > 1:
        return [
            each for parcel in parcels for each in _hand_over_together(destination, name, [parcel])
        ]
    return [outcome for _ in parcels] if isinstance(outcome, PostmottakError) else outcome


def _whole_batch(
    destination: BatchDestination, parcels: Sequence[Parcel]
) -> Sequence[Receipt | PostmottakError]:
    outcomes = destination.deliver_batch(parcels)
    if len(outcomes) != len(parcels):
        raise AssertionError(
            "a connector told the outcome of more or fewer deliveries than it was given"
        )
    return outcomes
