"""Deliveries that may be what ends the process: each gets its turn, alone, although there is always
other work."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.model import DeliveryState, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from daemon.delivery import poison
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.poison import PoisonTurn
from daemon.store import Store
from daemon.store.claims import POISON_AFTER
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@dataclass
class Street:
    """What is under way at all destinations, and when what was begun, with how many beside it."""

    clock: Clock
    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: set[UUID] = field(default_factory=set)
    begun: list[tuple[UUID, datetime, frozenset[UUID]]] = field(default_factory=list)
    looked: threading.Event = field(default_factory=threading.Event)

    def enter(self, delivery: UUID) -> None:
        """An attempt begins."""
        with self.lock:
            self.under_way.add(delivery)
            self.begun.append((delivery, self.clock.now, frozenset(self.under_way)))

    def leave(self, delivery: UUID, **takes: float) -> None:
        """An attempt ends after a while, and the time moves, but not before the dispatcher has
        looked at the one that ended last: on a busy machine the time would run away from it."""
        with self.lock:
            self.looked.wait(1)
            self.looked.clear()
            self.clock.advance(**takes)
            self.under_way.discard(delivery)

    def time(self) -> datetime:
        """The time for the dispatcher, who asks for it whenever it looks."""
        self.looked.set()
        return self.clock()


@dataclass
class Busy(MemoryDestination):
    """A destination whose attempts take a while, and where something new is due as soon as one
    ends, up to `most` letters."""

    street: Street = field(kw_only=True)
    store: Store = field(kw_only=True)
    most: int = 200
    takes: float = 0.4
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def deliver(self, parcel: Parcel) -> Receipt:
        """Take it."""
        self.street.enter(parcel.delivery_id)
        number = next(self.numbers)
        if number < self.most:
            self.store.letters.add(
                [stored_letter(f"more-{self.name}-{number}", (self.name,), due_at=NOW - HOUR)]
            )
        try:
            return super().deliver(parcel)
        finally:
            self.street.leave(parcel.delivery_id, seconds=self.takes)


def suspects(store: Store, count: int, now: datetime) -> set[UUID]:
    """So many deliveries to erp at which the process has ended twice."""
    store.letters.add(
        [stored_letter(f"bad{number}", ("erp",), due_at=NOW - HOUR) for number in range(count)]
    )
    for _ in range(POISON_AFTER):
        store.outbox.claim("gone", now, HOUR, count, only=["erp"])
        store.outbox.release_abandoned(now)
    return {delivery_id(message_id("altinn", f"bad{number}"), "erp", 1) for number in range(count)}


@pytest.mark.parametrize(
    ("takes", "beside"),
    [(1.2, 16), (3.0, 16), (1.2, 1)],
    ids=["quick", "slow", "one at a time"],
)
def test_suspects_get_their_turn(
    store: Store,
    content: ContentFolder,
    clock: Clock,
    stopping: threading.Event,
    takes: float,
    beside: int,
) -> None:
    """Ten suspects are attempted, each alone, although other work is always due; that goes on
    before and after, also where nothing is in flight whenever the dispatcher looks."""
    content.put([b"pdf"])
    street = Street(clock)
    erp = Busy("erp", street=street, store=store, most=0, takes=0.1)
    mail = Busy("mail", street=street, store=store, takes=takes)
    bad = suspects(store, 10, clock())
    store.letters.add(
        [stored_letter(f"mail{number}", ("mail",), due_at=NOW - HOUR) for number in range(beside)]
    )
    dispatch = Dispatch(
        store=store,
        content=content,
        active=active_snapshot({"erp": erp, "mail": mail}),
        clock=street.time,
        give_up_after=timedelta(days=5),
    )
    dispatch.deliver_due(stopping)
    places = [place for place, (delivery, _, _) in enumerate(street.begun) if delivery in bad]
    assert [street.begun[place][2] for place in places] == [
        {street.begun[place][0]} for place in places
    ]
    assert all(not (bad & beside) for delivery, _, beside in street.begun if delivery not in bad)
    assert {street.begun[place][0] for place in places} == bad
    assert places[0] > 0
    assert places[-1] < len(street.begun) - 16
    assert store.queries.unfinished() == {}


def test_nothing_begins_beside_a_suspect(
    store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event
) -> None:
    """A letter that comes while a suspect is attempted waits until that has ended: the suspect's
    crash must not be blamed on it."""
    content.put([b"pdf"])
    street = Street(clock)
    came = threading.Event()
    mail = Busy("mail", street=street, store=store, most=0)
    (bad,) = suspects(store, 1, clock())

    def meanwhile(_: Parcel) -> None:
        street.enter(bad)
        store.letters.add([stored_letter("new", ("mail",), due_at=NOW - HOUR)])
        clock.advance(seconds=2)
        came.wait(0.5)  # in which the round looks several times
        street.leave(bad)

    erp = MemoryDestination("erp", during=meanwhile)
    dispatch = Dispatch(
        store=store,
        content=content,
        active=active_snapshot({"erp": erp, "mail": mail}),
        clock=clock,
        give_up_after=timedelta(days=5),
    )
    dispatch.new_work.set()
    while store.queries.unfinished():
        dispatch.deliver_due(stopping)
    assert [beside for _, _, beside in street.begun] == [
        {delivery} for delivery, _, _ in street.begun
    ]
    assert store.queries.delivery(str(bad)).state is DeliveryState.DELIVERED


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.2, 4), min_size=1, max_size=4), st.floats(30, 300), st.integers(0, 5))
def test_a_slow_attempt_holds_up_its_own_lane_only(
    quick: list[float], slow: float, at: int
) -> None:
    """Until the slowest attempt has ended other lanes go on but for some seconds, and then the
    suspect is alone, and soon."""
    turn, now = PoisonTurn(), NOW
    queues = ["slow", *(f"quick{number}" for number in range(len(quick)))]
    lasts = dict(zip(queues, [slow, *quick], strict=True))
    running = dict.fromkeys(queues, NOW)
    begun = dict.fromkeys(queues, NOW)
    alone_at = None
    while alone_at is None and now < NOW + timedelta(seconds=1000):
        now += timedelta(seconds=0.2)
        running = {
            lane: since
            for lane, since in running.items()
            if now - since < timedelta(seconds=lasts[lane])
        }
        if turn.should_check(now):
            turn.checked(now, waits=now >= NOW + timedelta(seconds=at))
        closed = turn.closed(now, queues, running)
        for lane in queues:
            if lane not in closed and lane not in running:
                running[lane] = begun[lane] = now
            elif lane != "slow" and lane not in running:
                assert now - begun[lane] <= 3 * poison.LONG
        if not running:
            alone_at = now
    assert alone_at is not None
    latest = (
        max(timedelta(seconds=slow), poison.PATIENCE + poison.LOOK_EVERY)
        + timedelta(seconds=at + slow)
        + 2 * poison.LONG
    )
    assert alone_at - NOW <= latest
