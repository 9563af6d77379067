"""Pickup: delivered is not yet taken, and what the receiver says of it is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.model import Delivery, DeliveryState, delivery_id, message_id
from daemon.core.outside_values import is_storable
from daemon.core.ports import Destination, Pickup, PickupState
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.pickup import Pickups
from daemon.monitoring.service_problems import pickup_problems
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, Clock, active_snapshot, stored_letter
from tests.unit.memory import MemoryDestination

pytestmark = pytest.mark.both_databases

WAITING = Pickup(state=PickupState.WAITING)


@dataclass
class Shelf(MemoryDestination):
    """A destination where the receiver fetches what is delivered, and says what became of it, each
    in its turn."""

    await_pickup: timedelta | None = timedelta(days=1)
    says: Iterator[Pickup | Exception] = field(default_factory=lambda: iter(()))
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def pickup(self, evidence: Mapping[str, Any]) -> Pickup:
        """What became of the parcel."""
        self.asked.append(evidence)
        answer = next(self.says, WAITING)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def places() -> dict[str, Destination]:
    """A shelf, and a destination where delivering is the end of it."""
    return {"erp": Shelf("erp"), "mail": MemoryDestination("mail")}


@pytest.fixture
def shelf(places: dict[str, Destination]) -> Shelf:
    """The shelf."""
    found = places["erp"]
    assert isinstance(found, Shelf)
    return found


@pytest.fixture
def look(
    store: Store,
    content: ContentFolder,
    clock: Clock,
    stopping: threading.Event,
    places: dict[str, Destination],
) -> Callable[[], int]:
    """Deliver what is due, and look what has been taken; how many still wait."""
    content.put([b"pdf"])
    store.letters.add([stored_letter("a", ("erp", "mail"))])
    dispatch = Dispatch(
        store=store,
        content=content,
        active=active_snapshot(places),
        clock=clock,
        give_up_after=timedelta(days=5),
    )

    def once() -> int:
        dispatch.deliver_due(stopping)
        return Pickups(store=store, active=active_snapshot(places), clock=clock).look()

    return once


def on_the_shelf(store: Store) -> Delivery:
    """The delivery that is to be taken."""
    return store.queries.delivery(str(delivery_id(message_id("altinn", "a"), "erp", 1)))


def test_what_is_taken_is_told_once(
    look: Callable[[], int], store: Store, shelf: Shelf, clock: Clock
) -> None:
    """What lies on the shelf is asked about by its receipt until it is taken, and then no more."""
    assert look() == 1
    assert (on_the_shelf(store).state, on_the_shelf(store).awaiting_pickup) == (
        DeliveryState.DELIVERED,
        True,
    )
    shelf.says = iter([Pickup(state=PickupState.TAKEN)])
    clock.advance(hours=1)
    assert (look(), look()) == (0, 0)
    now = on_the_shelf(store)
    assert (now.awaiting_pickup, now.taken_at, now.rejection) == (
        False,
        NOW + timedelta(hours=1),
        None,
    )
    assert len(shelf.asked) == 2
    assert shelf.asked[0]["reference"] == f"erp/{now.id}"


@pytest.mark.parametrize("reason", ["", "wrong department"])
def test_what_is_rejected_says_why(
    look: Callable[[], int], store: Store, shelf: Shelf, reason: str
) -> None:
    """A rejection is kept with the receiver's reason; the delivery was made, and is not tried again
    by itself."""
    shelf.says = iter([Pickup(state=PickupState.REJECTED, reason=reason)])
    assert (look(), look()) == (0, 0)
    now = on_the_shelf(store)
    assert (now.state, now.taken_at, now.rejection) == (
        DeliveryState.DELIVERED,
        None,
        reason or "rejected without a reason",
    )


@pytest.mark.parametrize(
    "error", [TemporaryFailure("the share is away"), KeyError("x")], ids=["temporary", "fault"]
)
def test_a_look_that_fails_is_repeated(
    look: Callable[[], int], store: Store, shelf: Shelf, error: Exception
) -> None:
    """If it cannot be seen what became of a parcel, it is looked at again, and nothing else is
    disturbed."""
    shelf.says = iter([error, Pickup(state=PickupState.TAKEN)])
    assert (look(), look()) == (1, 0)
    assert on_the_shelf(store).taken_at == NOW


@pytest.mark.parametrize("gone", [True, False])
def test_a_shelf_that_left_the_configuration(
    look: Callable[[], int], store: Store, places: dict[str, Destination], *, gone: bool
) -> None:
    """What lies on a shelf that the configuration no longer has, or that is none any more, goes on
    waiting and troubles nobody."""
    look()
    places.pop("erp")
    if not gone:
        places["erp"] = MemoryDestination("erp")
    assert look() == 1
    assert on_the_shelf(store).awaiting_pickup


def test_where_delivering_is_the_end_of_it(
    look: Callable[[], int], store: Store, shelf: Shelf
) -> None:
    """A destination that awaits no pickup is not asked about any."""
    shelf.await_pickup = None
    assert look() == 0
    assert (shelf.asked, on_the_shelf(store).state) == ([], DeliveryState.DELIVERED)


def test_what_cannot_be_seen_is_a_problem_until_it_can(
    look: Callable[[], int],
    store: Store,
    clock: Clock,
    places: dict[str, Destination],
    shelf: Shelf,
    logged: list[Any],
) -> None:
    """A destination at which pickups cannot be seen is logged once, and is a problem with the
    reason and the remedy until a look succeeds; a look at another one leaves it."""
    look()
    away = TemporaryFailure("the drop /srv/drop has no .postmottak.sign; mount the share")
    shelf.says = iter([away, away, WAITING])
    pickups = Pickups(store=store, active=active_snapshot(places), clock=clock)
    for only in ((), (), ("mail",)):
        pickups.look(only)
        (problem,) = pickup_problems(pickups.unseen)
        assert problem.text == (
            "It cannot be seen what was picked up at erp: the drop /srv/drop has no "
            ".postmottak.sign; mount the share"
        )
    lines = [line for line in logged if line["event"] == "pickup cannot be seen now"]
    assert [line["destination"] for line in lines] == ["erp"]
    pickups.look()
    assert pickup_problems(pickups.unseen) == []


def test_a_reason_that_is_not_text(
    look: Callable[[], int],
    store: Store,
    clock: Clock,
    places: dict[str, Destination],
    shelf: Shelf,
) -> None:
    """A reason with a file name that is not valid text becomes one that a store can keep."""
    look()
    shelf.says = iter([TemporaryFailure("Brev\udcf8.pdf in the drop may not be read; look")])
    pickups = Pickups(store=store, active=active_snapshot(places), clock=clock)
    pickups.look()
    (problem,) = pickup_problems(pickups.unseen)
    assert is_storable(pickups.unseen["erp"])
    assert is_storable(problem.text)
