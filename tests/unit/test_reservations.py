"""Deliveries that are claimed by the commit that stores their letter."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest

from daemon.core.document import letter_document
from daemon.core.model import DeliveryState
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.reservations import LEASE, Reservations
from daemon.store import Store, StoredLetter
from daemon.store.content import ContentStore
from tests.unit.claiming import now_is
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

SECOND = timedelta(seconds=1)


class Local(MemoryDestination):
    """A destination on this machine."""

    concurrency = 8

    def deliver_batch(self, parcels: Sequence[Parcel]) -> Sequence[Receipt]:
        """Take them one by one."""
        return [self.deliver(parcel) for parcel in parcels]


@pytest.fixture
def erp() -> Local:
    """The destination on this machine."""
    return Local("erp")


@pytest.fixture
def dispatch(store: Store, content: ContentStore, clock: Clock, erp: Local) -> Dispatch:
    """A dispatch to it and to another."""
    content.put([b"pdf"])
    places = {"erp": erp, "mail": MemoryDestination("mail")}
    return Dispatch(
        store=store,
        content=content,
        active=active_snapshot(places),
        clock=clock,
        give_up_after=timedelta(days=5),
    )


def store_claimed(store: Store, reservations: Reservations, *letters: StoredLetter) -> None:
    """Store letters as intake does."""
    claimed = reservations.claim(letters, NOW)
    reservations.stored(store.letters.add(letters, claimed).new, claimed)


def test_a_letter_is_attempted_from_memory(
    dispatch: Dispatch, store: Store, erp: Local, stopping: threading.Event
) -> None:
    """Once a destination on this machine has nothing else to do, a new letter's delivery is claimed
    as it is stored and made without another claim; one to elsewhere waits in the outbox."""
    dispatch.deliver_due(stopping)
    store_claimed(store, dispatch.reservations, stored_letter("a", ("erp", "mail")))
    claimed = now_is(store, "a")
    assert (claimed.state, claimed.fence, claimed.attempts) == (DeliveryState.CLAIMED, 1, 1)
    assert now_is(store, "a", "mail").state is DeliveryState.PENDING
    dispatch.deliver_due(stopping)
    assert [len(erp.handed), now_is(store, "a").state] == [1, DeliveryState.DELIVERED]
    assert (now_is(store, "a").fence, now_is(store, "a").attempts) == (1, 1)
    assert now_is(store, "a", "mail").state is DeliveryState.DELIVERED


def test_the_letter_is_the_same_as_from_the_outbox(store: Store) -> None:
    """What is attempted from memory has, byte for byte, the document of a later attempt."""
    reservations = Reservations()
    reservations.offer({"erp": 1})
    store_claimed(store, reservations, stored_letter("a", ("erp",)))
    (now,) = reservations.take(NOW)["erp"]
    (later,) = store.outbox.claim("another", NOW + 2 * LEASE, LEASE, 1)
    documents = [
        letter_document(each.message, each.attachments, each.decision, each.delivery)
        for each in (now, later)
    ]
    assert documents[0].model_dump_json() == documents[1].model_dump_json()
    assert (now.id, now.fence + 1) == (later.id, later.fence)


def test_no_more_than_offered(store: Store) -> None:
    """Never more are claimed than there are slots, counting those that are not begun yet; the rest
    is pending, and is announced."""
    announced = threading.Event()
    reservations = Reservations(announced)
    reservations.offer({"erp": 3})
    store_claimed(store, reservations, stored_letter("a"), stored_letter("b"))
    assert not announced.is_set()
    reservations.offer({"erp": 3})
    store_claimed(store, reservations, *(stored_letter(each) for each in "cde"))
    states = [now_is(store, each).state for each in "abcde"]
    assert states == [DeliveryState.CLAIMED] * 3 + [DeliveryState.PENDING] * 2
    assert announced.is_set()


def test_a_letter_that_was_here_already(store: Store) -> None:
    """A letter that is stored twice is attempted once: its second delivery is handed to no one."""
    reservations = Reservations()
    reservations.offer({"erp": 8})
    for _ in range(2):
        store_claimed(store, reservations, stored_letter("a"))
    assert len(reservations.take(NOW)["erp"]) == 1


def test_a_lease_that_ended_is_the_outboxs(store: Store) -> None:
    """A claim that nobody began in time is left to the outbox, so that it is made only once."""
    reservations = Reservations()
    reservations.offer({"erp": 1})
    store_claimed(store, reservations, stored_letter("a"))
    assert reservations.take(NOW + LEASE + SECOND) == {}
    assert len(store.outbox.claim("me", NOW + LEASE + SECOND, LEASE, 9)) == 1


def test_a_stop_before_it_began(
    dispatch: Dispatch, store: Store, erp: Local, stopping: threading.Event
) -> None:
    """What was claimed and not begun when the service stops is due again, and is nobody's fault."""
    dispatch.deliver_due(stopping)
    store_claimed(store, dispatch.reservations, stored_letter("a", ("erp",)))
    stopping.set()
    dispatch.deliver_due(stopping)
    assert store.outbox.release_abandoned(NOW, stopped=True) == 1
    left = now_is(store, "a")
    assert (erp.handed, left.state, left.crashes) == ([], DeliveryState.PENDING, 0)


def test_a_destination_that_fails_gets_no_slot(
    dispatch: Dispatch, store: Store, erp: Local, stopping: threading.Event
) -> None:
    """While a destination is paused after failures, its letters wait in the outbox."""
    queue = dispatch.queues["erp"]
    dispatch.deliver_due(stopping)
    for _ in range(9):
        queue.breaker.failed(NOW)
    dispatch.deliver_due(stopping)
    store_claimed(store, dispatch.reservations, stored_letter("a", ("erp",)))
    assert now_is(store, "a").state is DeliveryState.PENDING


def test_a_poison_message_is_not_starved(
    dispatch: Dispatch,
    store: Store,
    stopping: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a destination begins nothing so that a poison message gets its turn, its new letters
    get no slot."""
    with monkeypatch.context() as patched:
        patched.setattr(dispatch._poison_turn, "closed", lambda *_: ["erp"])
        dispatch.deliver_due(stopping)
        store_claimed(store, dispatch.reservations, stored_letter("a", ("erp",)))
        assert now_is(store, "a").state is DeliveryState.PENDING
    dispatch.deliver_due(stopping)
    assert now_is(store, "a").state is DeliveryState.DELIVERED


def test_slots_of_letters_that_are_being_stored_are_taken() -> None:
    """An offer that comes while letters are being stored does not give their slots away again; if
    they are not stored after all, it does."""
    reservations = Reservations()
    reservations.offer({"erp": 2})
    claimed = reservations.claim([stored_letter("a"), stored_letter("b")], NOW)
    reservations.offer({"erp": 2})
    assert (len(claimed), reservations.claim([stored_letter("c")], NOW)) == (2, {})
    reservations.stored([], claimed)
    reservations.offer({"erp": 2})
    assert len(reservations.claim([stored_letter("c"), stored_letter("d")], NOW)) == 2
