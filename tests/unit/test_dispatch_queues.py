"""Dispatch with destinations in trouble: each has its own lane, and whatever kills the process is
found out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle, repeat
from typing import Any
from uuid import UUID

import pytest

from daemon.core.connector_calls import call_connector
from daemon.core.document import LetterDocument, letter_document
from daemon.core.errors import PermanentFailure, PostmottakError, TemporaryFailure
from daemon.core.model import DeliveryState, Message, Outcome, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from daemon.delivery import handover
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.throttle import CONCURRENCY
from daemon.store import Store, results
from daemon.store.claims import POISON_AFTER
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

pytestmark = pytest.mark.both_databases

NOT_NOW = TemporaryFailure("nobody is at home")
HOUR = timedelta(hours=1)
Places = dict[str, MemoryDestination]
Deliver = Callable[[], Counter[Outcome]]


@pytest.fixture
def places() -> Places:
    """Two destinations."""
    return {"erp": MemoryDestination("erp"), "mail": MemoryDestination("mail")}


@pytest.fixture
def dispatch(store: Store, content: ContentFolder, clock: Clock, places: Places) -> Dispatch:
    """A dispatch to the two destinations; the content of every `stored_letter` is kept."""
    content.put([b"pdf"])
    return Dispatch(
        store=store,
        content=content,
        active=active_snapshot(places),
        clock=clock,
        give_up_after=timedelta(days=5),
    )


@pytest.fixture
def deliver(dispatch: Dispatch, stopping: threading.Event) -> Deliver:
    """Attempt everything that is due."""
    return lambda: dispatch.deliver_due(stopping)


def add(store: Store, count: int, *destinations: str) -> None:
    """So many letters that are due."""
    store.letters.add(
        [
            stored_letter(f"{destinations[0]}{number}", destinations, due_at=NOW - HOUR)
            for number in range(count)
        ]
    )


@dataclass
class Wide(MemoryDestination):
    """A destination that takes more at a time than others, several in one call."""

    concurrency: int = CONCURRENCY + 4
    batches: list[int] = field(default_factory=list)

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """Take them side by side."""
        self.batches.append(len(parcels))
        with ThreadPoolExecutor(len(parcels)) as pool:
            return list(
                pool.map(lambda parcel: call_connector(lambda: self.deliver(parcel)), parcels)
            )


def test_several_in_one_call(deliver: Deliver, store: Store, places: Places) -> None:
    """What is due at a destination that takes batches is handed over in two calls at a time; each
    letter has an outcome of its own."""
    erp = places["erp"] = Wide(
        "erp", fails=iter([PermanentFailure("never"), NOT_NOW, KeyError("title")])
    )
    add(store, 30, "erp")
    assert deliver() == {Outcome.DELIVERED: 27, Outcome.DEAD: 1, Outcome.DEFERRED: 2}
    assert sum(erp.batches) == 30
    assert max(erp.batches) == erp.concurrency // 2


@pytest.mark.parametrize("kind", [MemoryDestination, Wide])
def test_a_letter_that_cannot_be_put_into_words(
    deliver: Deliver,
    store: Store,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[MemoryDestination],
) -> None:
    """If one letter's parcel cannot be made, for a reason that nobody foresaw, that letter waits,
    and all others are delivered."""
    places["erp"] = kind("erp")
    add(store, 5, "erp")
    bad = message_id("altinn", "erp3")

    def document(message: Message, *rest: Any) -> LetterDocument:
        if message.id == bad:
            raise ZeroDivisionError
        return letter_document(message, *rest)

    monkeypatch.setattr(handover, "letter_document", document)
    assert deliver() == {Outcome.DELIVERED: 4, Outcome.DEFERRED: 1}
    (waits,) = store.queries.deliveries(state=DeliveryState.PENDING)
    assert (waits.message_id, waits.last_error) == (
        bad,
        "unexpected ZeroDivisionError in the connector; see the log",
    )


@dataclass
class Broken(Wide):
    """A destination whose batches fail as a whole."""

    error: Exception = NOT_NOW

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt | PostmottakError]:
        """Fail."""
        assert parcels
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"), [(NOT_NOW, "nobody is at home"), (KeyError("title"), "unexpected KeyError")]
)
def test_a_batch_that_fails_as_a_whole(
    deliver: Deliver, store: Store, places: Places, error: Exception, words: str
) -> None:
    """If a destination takes nothing of a batch, each letter of it waits with the reason, and other
    destinations get theirs."""
    places["erp"] = Broken("erp", error=error)
    add(store, 3, "erp")
    add(store, 3, "mail")
    assert deliver() == {Outcome.DELIVERED: 3, Outcome.DEFERRED: 3}
    assert all(
        words in (each.last_error or "")
        for each in store.queries.deliveries(state=DeliveryState.PENDING)
    )


@pytest.mark.parametrize(("kind", "tells"), [(Wide, True), (MemoryDestination, False)])
def test_it_tells_when_it_is_behind(
    deliver: Deliver,
    dispatch: Dispatch,
    store: Store,
    places: Places,
    kind: type[MemoryDestination],
    *,
    tells: bool,
) -> None:
    """While more is due on this machine than there is room for it says so, for those who bring
    more; a slow mail server slows nobody."""
    said = []
    places["erp"] = kind("erp", during=lambda _: said.append(dispatch.backlog.is_set()))
    add(store, 10 * CONCURRENCY, "erp")
    deliver()
    assert (said.count(True) > CONCURRENCY) is tells
    assert any(said) is tells
    assert not dispatch.backlog.is_set()


@pytest.mark.parametrize(
    ("kind", "concurrency_limit"), [(MemoryDestination, CONCURRENCY), (Wide, CONCURRENCY + 4)]
)
def test_no_more_than_so_many_at_a_time(
    deliver: Deliver,
    store: Store,
    places: Places,
    kind: type[MemoryDestination],
    concurrency_limit: int,
) -> None:
    """A destination never has more attempts at a time than its lane is wide, and is given as many
    as that."""
    places["erp"] = kind("erp")
    add(store, 5 * concurrency_limit, "erp")
    together = threading.Barrier(concurrency_limit, timeout=10)
    lock, under_way, most = threading.Lock(), Counter[str](), 0

    def count(_: Parcel) -> None:
        nonlocal most
        with lock:
            under_way["now"] += 1
            under_way["ever"] += 1
            most = max(most, under_way["now"])
            meet = under_way["ever"] <= concurrency_limit
        if meet:
            together.wait()
        with lock:
            under_way["now"] -= 1

    places["erp"].during = count
    assert deliver() == {Outcome.DELIVERED: 5 * concurrency_limit}
    assert most == concurrency_limit


def test_a_destination_that_keeps_failing_is_left_alone(
    deliver: Deliver, dispatch: Dispatch, store: Store, places: Places
) -> None:
    """Of many letters for a destination that is down a few are tried, the rest stays due, and other
    destinations get theirs."""
    add(store, 100, "erp")
    add(store, 20, "mail")
    places["erp"].fails = repeat(NOT_NOW)
    outcomes = deliver()
    assert outcomes[Outcome.DELIVERED] == 20
    tried = len(places["erp"].handed)
    assert 5 <= tried < 2 * CONCURRENCY
    assert deliver() == {}
    assert len(places["erp"].handed) == tried
    assert store.queries.counts().deliveries[DeliveryState.CLAIMED] == 0
    assert dispatch.next_due() == NOW + timedelta(seconds=30)


def test_a_destination_that_is_back(
    deliver: Deliver, store: Store, places: Places, clock: Clock
) -> None:
    """After its pause a destination is tried with one delivery; if that is made, all the others
    follow in the same round."""
    add(store, 40, "erp")
    places["erp"].fails = repeat(NOT_NOW)
    deliver()
    tried = len(places["erp"].handed)
    clock.advance(seconds=30)
    deliver()
    assert len(places["erp"].handed) == tried + 1
    places["erp"].fails = iter(())
    clock.advance(hours=2)
    assert deliver() == {Outcome.DELIVERED: 40}


def test_letters_that_fail_close_no_lane(deliver: Deliver, store: Store, places: Places) -> None:
    """Failures that are a letter's own, and tell nothing of the destination, keep no other letter
    waiting."""
    add(store, 30, "erp")
    places["erp"].fails = cycle([PermanentFailure("no such folder"), KeyError("title")])
    assert deliver() == {Outcome.DEAD: 15, Outcome.DEFERRED: 15}


def test_what_came_meanwhile_is_not_kept_waiting(
    deliver: Deliver, store: Store, places: Places, clock: Clock
) -> None:
    """While one destination hangs, what comes in for another is delivered, in the same round."""
    add(store, 1, "erp")
    mailed = threading.Event()
    places["mail"].during = lambda _: mailed.set()

    def hang(_: Parcel) -> None:
        add(store, 1, "mail")
        clock.advance(seconds=2)
        assert mailed.wait(timeout=10)

    places["erp"].during = hang
    assert deliver() == {Outcome.DELIVERED: 2}


def test_a_long_attempt_keeps_its_lease(
    deliver: Deliver, store: Store, places: Places, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that takes longer than a lease is not claimed by somebody else while it is under
    way."""
    add(store, 1, "erp")
    this = str(delivery_id(message_id("altinn", "erp0"), "erp", 1))
    renewed = threading.Event()
    renew = store.outbox.renew

    def note(*arguments: Any) -> None:
        renew(*arguments)
        renewed.set()

    def take_long(_: Parcel) -> None:
        for _turn in range(2):
            renewed.clear()
            ends = store.queries.delivery(this).due_at
            clock.now = ends - timedelta(minutes=1)
            assert renewed.wait(timeout=10)
            assert store.queries.delivery(this).due_at > ends
            assert store.outbox.claim("other", ends, HOUR, 9) == []

    monkeypatch.setattr(store.outbox, "renew", note)
    places["erp"].during = take_long
    assert deliver() == {Outcome.DELIVERED: 1}
    assert clock() > NOW + timedelta(minutes=15)


def test_destinations_that_are_unknown_are_no_hindrance(deliver: Deliver, store: Store) -> None:
    """Deliveries to destinations that left the configuration wait by themselves."""
    add(store, 30, "old")
    add(store, 3, "erp")
    assert deliver()[Outcome.DELIVERED] == 3


@dataclass
class Watched(MemoryDestination):
    """A destination that notes, for each attempt in turn, how many are under way at all such
    destinations together."""

    under_way: set[UUID] = field(default_factory=set)
    order: list[tuple[UUID, int]] = field(default_factory=list)

    def deliver(self, parcel: Parcel) -> Receipt:
        """Keep the parcel."""
        self.under_way.add(parcel.delivery_id)
        self.order.append((parcel.delivery_id, len(self.under_way)))
        try:
            return super().deliver(parcel)
        finally:
            self.under_way.discard(parcel.delivery_id)


def test_a_suspect_is_attempted_alone(
    deliver: Deliver, store: Store, places: Places, clock: Clock
) -> None:
    """A delivery at which the process ended twice is attempted when nothing else is due or under
    way, and nothing beside it."""
    erp = Watched("erp")
    places["erp"], places["mail"] = erp, Watched("mail", under_way=erp.under_way, order=erp.order)
    add(store, 2, "erp")
    suspects = {delivery_id(message_id("altinn", name), "erp", 1) for name in ("erp0", "erp1")}
    for _ in range(POISON_AFTER):
        store.outbox.claim("gone", clock(), HOUR, 9, only=["erp"])
        store.outbox.release_abandoned(clock())
    add(store, 20, "mail")
    assert deliver() == {Outcome.DELIVERED: 22}
    assert {delivery for delivery, _ in erp.order[-2:]} == suspects
    assert [count for _, count in erp.order[-2:]] == [1, 1]


def test_a_letter_that_kills_the_process_takes_no_other_along(
    deliver: Deliver, store: Store, clock: Clock
) -> None:
    """Of deliveries that were under way together when the process ended three times, only the one
    that did it is dead."""
    add(store, 4, "erp")
    killer = delivery_id(message_id("altinn", "erp0"), "erp", 1)
    for _ in range(POISON_AFTER):
        assert len(store.outbox.claim("gone", clock(), HOUR, 9)) == 4
        store.outbox.release_abandoned(clock())
    while (claims := store.outbox.claim_poison("me", clock(), HOUR)) and claims[0].id != killer:
        store.outbox.end([results.deferred(claims[0], "not now", clock() + HOUR, clock(), clock())])
    store.outbox.release_abandoned(clock())
    clock.advance(hours=2)
    assert deliver() == {Outcome.DELIVERED: 3}
    assert store.queries.delivery(str(killer)).state is DeliveryState.DEAD
