"""From the outbox to destinations: claim, hand over, and record one of three outcomes.

This is the only place, with the store, where a delivery changes its state. A destination only reports. Attempts are made by several
threads; what came of them is kept by one, for several at once, because a commit costs nearly the same for one and for many.
"""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from os import getpid
from typing import Any, BinaryIO

import structlog

from daemon import retry
from daemon.content import ContentStore
from daemon.document import letter_document
from daemon.errors import ContentMissing, PermanentFailure, StoreError, TemporaryFailure
from daemon.lanes import WIDTH, Lanes
from daemon.model import KEPT_STATES, Outcome, ParcelPart, Receipt
from daemon.ports import AwaitsPickup, Destination, Parcel, TakesMany
from daemon.pulses import Beat, Pulses, watched_file
from daemon.records import COLLISION, Alert
from daemon.rounds import Attempt, Round
from daemon.routing.table import Table
from daemon.settings import duration_text
from daemon.store import Claim, Store, endings
from daemon.traces import Traces

_log = structlog.get_logger(__name__)
_LEASE = timedelta(minutes=15)
_RENEW_EVERY = _LEASE / 3
_POOL = 56  # attempts at a time, at all destinations together
OUTBOX = "outbox"  # whose signs of life come from here
_UNKNOWN = ""  # the lane of deliveries to destinations that the configuration does not have
Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """Hands due deliveries to destinations. `destinations` and `table` are asked anew for each delivery, so they may change."""

    store: Store
    content: ContentStore
    destinations: Callable[[], Mapping[str, Destination]]
    table: Callable[[], Table]
    clock: Clock
    give_up_after: timedelta
    lanes: Lanes = field(default_factory=Lanes)
    counted: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    """Attempts that have ended, by destination and outcome; only ever growing."""
    pulses: Pulses = field(default_factory=Pulses)
    news: threading.Event = field(default_factory=threading.Event)
    """Set by whoever has stored letters, so that a round which is under way takes them along soon."""

    @cached_property
    def _traces(self) -> Traces:
        return Traces(self.store)

    def deliver_due(self, stopping: threading.Event) -> Counter[Outcome]:
        """Attempt what is due now; returns when all of it is attempted, or soon after `stopping` is set.

        Deliveries to a destination that keeps failing stay due until its pause is over. Call it from one thread at a time. Raises
        StoreError if the store fails; attempts under way are repeated then.
        """
        widths = {name: each.at_a_time if isinstance(each, TakesMany) else WIDTH for name, each in self.destinations().items()}
        self.lanes.begin_round({**widths, _UNKNOWN: WIDTH})
        with ThreadPoolExecutor(_POOL, thread_name_prefix="deliver") as pool:
            work = Round(pool)
            for name, destination in self._traces.untried(self.destinations()):
                work.chore(self._traces.settle, name, destination)
            try:
                self._go_round(work, stopping)
            except StoreError:
                wait(work.running)
                with suppress(StoreError):  # the first failure is what counts
                    self._keep(work, list(work.running))
                raise
            return work.outcomes

    def _go_round(self, work: Round, stopping: threading.Event) -> None:
        renew_at = self.clock() + _RENEW_EVERY
        while True:
            self.pulses.expect(OUTBOX)
            if self.news.is_set():
                self.news.clear()
                self.lanes.news()
            if not stopping.is_set():
                for lane, claim in self._claims(alone=not work.running):
                    work.begin(self._attempt, lane, claim)
            for name, destination, delivered in self._traces.gathered(self.destinations(), rest=not work.under_way):
                work.chore(self._traces.settle, name, destination, delivered)
            if not work.under_way:
                return
            self._keep(work, work.some_ended())
            if self.clock() >= renew_at:
                self.store.outbox.renew([claim for _, claim in work.running.values()], self.clock() + _LEASE)
                renew_at = self.clock() + _RENEW_EVERY

    def next_due(self) -> datetime | None:
        """When a delivery is next due that a lane has room for; None if nothing waits for a time."""
        now = self.clock()
        due = self.store.outbox.next_due(but=self.lanes.paused(now))
        times = [time for time in (due, self.lanes.open_again(now)) if time]
        return min(times, default=None)

    def _claims(self, *, alone: bool) -> list[tuple[str, Claim]]:
        """Claim what the lanes have room for; and when nothing else is due or under way, one delivery that is suspected of killing us."""
        names = list(self.destinations())
        found = [(name, claim) for name in [*names, _UNKNOWN] for claim in self._claim(name, names)]
        if alone and not found:
            found = [(_UNKNOWN, claim) for claim in self.store.outbox.claim_suspect(self._owner, self.clock(), _LEASE)]
        for name, _ in found:
            self.lanes[name].running += 1
        return found

    def _claim(self, name: str, names: Sequence[str]) -> list[Claim]:
        lane, now = self.lanes[name], self.clock()
        if not lane.is_worth_a_claim(now):
            return []
        room = lane.room(now)
        where = {"but": names} if name == _UNKNOWN else {"only": [name]}
        claims = self.store.outbox.claim(self._owner, now, _LEASE, room, **where)
        lane.asked(now, more=len(claims) == room)
        return claims

    @property
    def _owner(self) -> str:
        return f"{socket.gethostname()}:{getpid()}"

    def _keep(self, work: Round, ended: Sequence[Future[Attempt]]) -> None:
        """Record what came of attempts, and settle with their destinations; then raise what one of them has raised, if any has."""
        attempts = [(work.running.pop(each)[0], each.result()) for each in ended if not each.exception()]
        if attempts:
            self._record(work, attempts)
        for each in ended:
            each.result()

    def _record(self, work: Round, attempts: Sequence[tuple[str, Attempt]]) -> None:
        ours = self.store.outbox.end([attempt.ending for _, attempt in attempts])
        for lane, attempt in attempts:
            self.lanes[lane].ended(self.clock(), failed=attempt.unusable)
            delivery, outcome = attempt.ending.claim.delivery, attempt.ending.outcome
            _log_attempt(attempt, ours=delivery.id in ours)
            if delivery.id in ours:
                work.outcomes[outcome] += 1
                self.counted[delivery.destination, outcome] += 1
                if outcome is Outcome.DELIVERED:
                    self._traces.gather(delivery.destination, delivery.id)

    def _attempt(self, claim: Claim) -> Attempt:
        started_at = self.clock()
        try:
            with self.pulses.task(f"delivery {claim.id} to {claim.delivery.destination}") as beat:
                receipt = self._deliver(claim, beat)
        except PermanentFailure as failure:
            return _buried(claim, str(failure), started_at, self.clock())
        except ContentMissing as missing:
            return self._deferred(claim, str(missing), started_at)
        except TemporaryFailure as failure:
            attempt = self._deferred(claim, str(failure), started_at, failure.retry_after, failure.progress)
            return replace(attempt, unusable=failure.progress is None)  # one that has done a part of it can be used
        except StoreError:
            raise
        except Exception as fault:  # noqa: BLE001  # a fault of one connector must not stop the others
            _log.exception("the connector failed unexpectedly", destination=claim.delivery.destination, delivery=str(claim.id))
            return self._deferred(claim, f"unexpected {type(fault).__name__} in the connector; see the log", started_at)
        return self._delivered(claim, receipt, started_at)

    def _delivered(self, claim: Claim, receipt: Receipt, started_at: datetime) -> Attempt:
        now, destination = self.clock(), claim.delivery.destination
        if receipt.collided:
            _log.warning(
                "something else has the letter's name", delivery=str(claim.id), destination=destination, reference=receipt.reference
            )
        ending = endings.delivered(
            claim,
            receipt,
            started_at,
            now,
            awaiting_pickup=self._awaits_pickup(destination),
            alert=_collision(claim, now) if receipt.collided else None,
        )
        return Attempt(ending=ending, told=receipt.reference)

    def _deliver(self, claim: Claim, beat: Beat) -> Receipt:
        name = claim.delivery.destination
        destination = self.destinations().get(name)
        if destination is None:
            raise TemporaryFailure(f"there is no destination {name!r} in the configuration; add it again, or hold the delivery")
        return destination.deliver(self._parcel(claim, beat))

    def _awaits_pickup(self, name: str) -> bool:
        destination = self.destinations().get(name)
        return isinstance(destination, AwaitsPickup) and destination.await_pickup is not None

    def _parcel(self, claim: Claim, beat: Beat) -> Parcel:
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
            document=letter_document(claim.message, claim.attachments, claim.decision, claim.delivery),
            body=claim.message.body.encode(),
            parts=parts,
            progress=claim.delivery.progress or {},
        )

    def _open(self, sha256: str, beat: Beat) -> BinaryIO:
        return watched_file(self.content.open(sha256), beat)

    def _deferred(
        self,
        claim: Claim,
        reason: str,
        started_at: datetime,
        retry_after: timedelta | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> Attempt:
        now, created_at = self.clock(), claim.delivery.created_at
        if retry.is_too_old(created_at=created_at, now=now, give_up_after=self.give_up_after):
            return _buried(claim, f"given up after {duration_text(self.give_up_after)}: {reason}", started_at, now, progress)
        due_at = retry.next_attempt(created_at=created_at, now=now, retry_after=retry_after, chance=random.random())  # noqa: S311  # spreads load, guards nothing
        return Attempt(ending=endings.deferred(claim, reason, due_at, started_at, now, progress), told=reason)


def _log_attempt(attempt: Attempt, *, ours: bool) -> None:
    """One line for each attempt; it is superseded if somebody else has the delivery by now."""
    ending = attempt.ending
    _log.info(
        "delivery attempted",
        delivery=str(ending.claim.id),
        message=str(ending.claim.delivery.message_id),
        destination=ending.claim.delivery.destination,
        outcome=ending.outcome.value if ours else "superseded",
        reason=attempt.told,
        attempt=ending.claim.delivery.attempts,
        seconds=round((ending.ended_at - ending.started_at).total_seconds(), 3),
    )


def _buried(claim: Claim, reason: str, started_at: datetime, now: datetime, progress: Mapping[str, Any] | None = None) -> Attempt:
    return Attempt(ending=endings.dead(claim, reason, started_at, now, progress), told=reason)


def _collision(claim: Claim, now: datetime) -> Alert:
    destination = claim.delivery.destination
    text = f"Something else has a letter's name at {destination}, so that the letter lies there under another one"
    return Alert(
        key=f"{COLLISION} {claim.id}",
        kind=COLLISION,
        critical=False,
        text=f"{text}; see `postmottak deliveries show {claim.id}`, and find out who else writes there",
        began_at=now,
    )
