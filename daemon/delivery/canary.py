"""Canaries: letters that are none, sent through routing, store and destinations to be seen there.

A canary has rows of its own and never is a letter, so nothing counts it. It goes to a destination
by the connector's own way to carry what its receiver can tell from a letter: a test, or, where
pickups are watched, a drop that the receiver has to take. What did not come through is kept with
the step at which it stopped; `daemon.monitoring.canary` makes a problem of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import structlog

from daemon.config.canary import CanarySettings
from daemon.core.canaries import Canary, CanaryStep
from daemon.core.canary_carriers import CarriesCanaries
from daemon.core.connector_calls import call_connector
from daemon.core.errors import DiskFull, PostmottakError, TemporaryFailure
from daemon.core.model import delivery_id
from daemon.core.node_role import HasDuty, has_all
from daemon.core.nodes import Duty
from daemon.core.outside_values import text_from
from daemon.core.parcels import Receipt
from daemon.core.ports import (
    AwaitsPickup,
    Destination,
    Parcel,
    PickupState,
    SendsTests,
)
from daemon.core.times import LAST, has_passed, shifted
from daemon.delivery.sample_parcel import canary_parcel
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.routing.decide import decide
from daemon.routing.facts import Facts
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store
from daemon.store.content import ContentStore

_log = structlog.get_logger(__name__)
CANARIES = "canaries"  # the name of its heartbeat
_LOOK = 60.0  # seconds
_AGAIN = timedelta(minutes=1)
_GIVE_UP = timedelta(minutes=15)
"""For so long a delivery that fails is tried again: what passes by itself does not matter."""
_SOON = timedelta(hours=1)
"""After a canary that did not come through, the next one is sent so soon, to see it mended."""
SERVICE = "service"
_CANNOT = (
    "its receiver would take any call for a letter, or it has no fixed recipient; "
    "`postmottak check` tries the connection"
)


def why_not(name: str, destination: Destination, snapshot: Snapshot) -> str:
    """Return why a destination cannot be sent a canary; empty if it can."""
    settings = {each.name: each.settings for each in snapshot.configuration.destinations}
    able = isinstance(destination, SendsTests) and settings[name].can_send_test
    return "" if able else _CANNOT


@dataclass
class CanarySender:
    """Sends canaries, and looks what has become of them. For one thread."""

    store: Store
    content: ContentStore
    active: ActiveSnapshot
    clock: Callable[[], datetime]
    pdf: Callable[[str], bytes]
    """Makes a PDF with a text."""
    heartbeats: Heartbeats
    has_duty: HasDuty = has_all

    def loop(self, stopping: threading.Event) -> None:
        """Send and look until `stopping` is set. A full disk is waited out. Raises StoreError."""
        while not stopping.is_set():
            try:
                self.look(stopping)
            except DiskFull as error:
                _log.error("no canary can be sent until there is room", reason=str(error))
            self.heartbeats.beat_for_wait(CANARIES, _LOOK)
            stopping.wait(_LOOK)

    def look(self, stopping: threading.Event | None = None) -> None:
        """Send the canaries that are due, and look after those under way. Raises StoreError."""
        self.heartbeats.beat(CANARIES)
        if not self.has_duty(Duty.CANARIES):
            return
        with self.active.use() as snapshot:
            settings = snapshot.configuration.canary
            for name in self._due(snapshot, settings) if settings else ():
                self._begin(name, SERVICE)
            for canary in self.store.canaries.open(self.clock()):
                if stopping and stopping.is_set():
                    return
                self.heartbeats.beat(CANARIES)
                self._go_on(canary, snapshot)

    def send(self, names: Collection[str], by: str) -> list[Canary]:
        """Send a canary to each of these destinations now; return what has become of it so far.

        Nothing is tried twice; a pickup is looked for by the service. Raises StoreError.
        """
        sent = []
        with self.active.use() as snapshot:
            for name in names:
                canary = self._begin(name, by, patience=timedelta())
                self._go_on(canary, snapshot)
                sent.append(canary)
        return sent

    def _due(self, snapshot: Snapshot, settings: CanarySettings) -> list[str]:
        newest = {each.destination: each for each in self.store.canaries.newest()}
        now = self.clock()
        return [
            name
            for name, destination in snapshot.destinations.items()
            if settings.wants(name)
            and not why_not(name, destination, snapshot)
            and _is_due(newest.get(name), settings.every, now)
        ]

    def _begin(self, name: str, by: str, patience: timedelta = _GIVE_UP) -> Canary:
        now = self.clock()
        canary = Canary(
            id=uuid4(),
            destination=name,
            begun_at=now,
            by=by,
            step=CanaryStep.ROUTING,
            # what a command begins, no service goes on with meanwhile
            try_at=now if by == SERVICE else shifted(now, _GIVE_UP),
            give_up_at=shifted(now, patience),
        )
        self.store.canaries.save(canary)
        _log.info("a canary is sent", canary=str(canary.id), destination=name)
        return canary

    def _go_on(self, canary: Canary, snapshot: Snapshot) -> None:
        """Take the canary as far as it goes now, and keep how far that is."""
        steps = {
            CanaryStep.ROUTING: self._route,
            CanaryStep.STORE: self._keep,
            CanaryStep.DELIVERY: self._deliver,
            CanaryStep.PICKUP: self._look_for_pickup,
        }
        while canary.ended_at is None:
            before = canary.step
            failure = call_connector(
                partial(steps[before], canary, snapshot),
                canary=str(canary.id),
                destination=canary.destination,
            )
            if isinstance(failure, PostmottakError):
                self._fail(canary, failure)
            if canary.step is CanaryStep.THROUGH:
                canary.ended_at, canary.problem = self.clock(), ""
            if canary.sha256 and (canary.delivered_at or canary.ended_at):
                self._clear_store(canary)
            self.store.canaries.save(canary)
            if canary.step is before:
                break
        self._log_end(canary)

    def _clear_store(self, canary: Canary) -> None:
        """Remove its attachment; while a backup or a check reads, that is left to housekeeping."""
        with self.content.guarded(alone=True) as alone:
            if alone:
                self.content.remove(canary.sha256, LAST)
        canary.sha256 = ""

    def _fail(self, canary: Canary, failure: PostmottakError) -> None:
        now = self.clock()
        canary.problem = text_from(str(failure))
        canary.try_at = shifted(now, _AGAIN)
        passes = isinstance(failure, TemporaryFailure) and now < canary.give_up_at
        if not passes:
            canary.ended_at = now

    def _log_end(self, canary: Canary) -> None:
        about = {"canary": str(canary.id), "destination": canary.destination}
        if canary.is_through:
            _log.info("a canary came through", **about)
        elif canary.ended_at:
            step = canary.step.value
            _log.error("a canary did not come through", step=step, reason=canary.problem, **about)

    def _route(self, canary: Canary, snapshot: Snapshot) -> None:
        decision = decide(snapshot.table, Facts(service="canary", at=self.clock()))
        if decision is None:
            raise PostmottakError(
                "the routing table has no route for it; see `postmottak routes lint`"
            )
        canary.route, canary.step = decision.route, CanaryStep.STORE

    def _keep(self, canary: Canary, _snapshot: Snapshot) -> None:
        kept = self.content.put([self.pdf(f"Postmottak canary {canary.id}")])
        canary.sha256 = kept.sha256
        if fault := self.content.fault(kept.sha256):
            raise PostmottakError(
                f"its attachment is {fault} in the store; see `postmottak db check`"
            )
        canary.step = CanaryStep.DELIVERY

    def _deliver(self, canary: Canary, snapshot: Snapshot) -> None:
        destination = _destination(canary, snapshot)
        with self.content.open(canary.sha256) as file:
            parcel = canary_parcel(canary.id, canary.destination, file.read(), canary.begun_at)
        if isinstance(destination, CarriesCanaries) and destination.watches_canaries:
            self._leave(canary, destination, parcel, snapshot)
            return
        if not isinstance(destination, SendsTests):
            raise PostmottakError(_CANNOT)
        canary.receipt = text_from(destination.send_test(parcel))
        canary.delivered_at, canary.step = self.clock(), CanaryStep.THROUGH

    def _leave(
        self, canary: Canary, destination: CarriesCanaries, parcel: Parcel, snapshot: Snapshot
    ) -> None:
        receipt: Receipt = destination.leave_canary(parcel)
        now = self.clock()
        canary.receipt, canary.evidence = text_from(receipt.reference), receipt.details
        canary.delivered_at, canary.step, canary.try_at = now, CanaryStep.PICKUP, now
        settings = snapshot.configuration.canary or CanarySettings()
        limit = min(destination.await_pickup or settings.pickup_within, settings.pickup_within)
        canary.give_up_at = shifted(now, limit)

    def _look_for_pickup(self, canary: Canary, snapshot: Snapshot) -> None:
        destination = _destination(canary, snapshot)
        assert isinstance(destination, AwaitsPickup)
        found, now = destination.pickup(canary.evidence or {}), self.clock()
        if found.state is PickupState.WAITING and now < canary.give_up_at:
            canary.try_at = shifted(now, _AGAIN)
            return
        if isinstance(destination, CarriesCanaries):
            delivery = delivery_id(canary.id, canary.destination, 1)
            destination.clear_canary(delivery, canary.evidence or {})
        if found.state is PickupState.REJECTED:
            raise PostmottakError(f"the receiver rejected it: {found.reason or 'without a reason'}")
        if found.state is PickupState.WAITING:
            raise PostmottakError(
                "the receiver has not picked it up in time; see that its program runs"
            )
        canary.taken_at, canary.step = now, CanaryStep.THROUGH


def _is_due(newest: Canary | None, every: timedelta, now: datetime) -> bool:
    if newest is None:
        return True
    if newest.ended_at is None:
        return has_passed(2 * every, newest.begun_at, now)
    wait = every if newest.is_through else min(every, _SOON)
    return has_passed(wait, newest.begun_at, now)


def _destination(canary: Canary, snapshot: Snapshot) -> Destination:
    found = snapshot.destinations.get(canary.destination)
    if found is None:
        raise PostmottakError("the configuration no longer names its destination")
    return found
