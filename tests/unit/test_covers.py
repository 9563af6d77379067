"""Covers that begin and end while letters wait."""

from __future__ import annotations

import pytest

from daemon.core.model import DeliveryState, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.store import results
from tests.unit.conftest import NOW, newest_decision
from tests.unit.office import (
    FOR_OLA,
    LEASE,
    TEXT,
    TO_OLA,
    Office,
    new_office,  # noqa: F401  # a fixture
    states,
)

pytestmark = pytest.mark.both_databases


def test_a_letter_that_waits_follows_a_cover_and_comes_back(office: Office) -> None:
    """What waits goes to the person who covers from the day on which the cover begins, and back
    again when it has ended."""
    office.fetch()
    assert office.goes_to() == {"archive": ("kari",), "mail": ("kari",)}
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {"erp": ("ola",)})
    assert office.rerouter.follow_covers() == 0
    office.clock.advance(days=2)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (
        1,
        {"archive": ("kari",), "mail": ("kari",)},
    )
    assert office.rerouter.follow_covers() == 0
    assert {delivery.id for (delivery,) in office.deliveries().values()} == {
        delivery_id(message_id("altinn", "a"), destination, 2)
        for destination in ("archive", "mail")
    }


def test_what_a_cover_withdrew_is_remembered(office: Office) -> None:
    """The decision says which deliveries gave way to a cover, with their attempts and the last
    reason."""
    office.fetch()
    (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    office.store.outbox.end([results.deferred(claim, "nobody is at home", NOW, NOW, NOW)])
    office.put_in_force(TEXT + FOR_OLA)
    office.rerouter.follow_covers()
    decision = newest_decision(office.store, "a")
    assert (decision.number, decision.chosen) == (1, ["kari"])
    covered = {
        each["destination"]: (each["state"], each["attempts"], each["error"])
        for each in decision.why["covered"]
    }
    assert covered == {"archive": ("pending", 0, None), "mail": ("pending", 1, "nobody is at home")}


@pytest.mark.parametrize(
    "state", [DeliveryState.CLAIMED, DeliveryState.DELIVERED, DeliveryState.DEAD]
)
def test_what_does_not_wait_follows_no_cover(office: Office, state: DeliveryState) -> None:
    """What is under way, delivered or dead stays as it is; what waits beside it goes to the person
    who covers."""
    key = office.fetch()
    mail = delivery_id(key, "mail", 1)
    (claim,) = office.store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    if state is DeliveryState.DELIVERED:
        office.store.outbox.end(
            [results.delivered(claim, Receipt(reference="x", details={}), NOW, NOW)]
        )
    elif state is DeliveryState.DEAD:
        office.store.outbox.end([results.dead(claim, "never", NOW, NOW)])
    before = office.store.queries.delivery(str(mail))
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {"erp": ("ola",)})
    assert office.store.queries.delivery(str(mail)) == before


def test_what_is_held_follows_a_cover_and_stays_held(office: Office) -> None:
    """A letter that an operator put aside goes to the person who covers when it is released, and
    not before."""
    key = office.fetch()
    office.store.outbox.hold([delivery_id(key, name, 1) for name in ("archive", "mail")])
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {})
    assert states(office, ["erp"]) == [[DeliveryState.HELD]]
    office.store.outbox.release([delivery_id(key, "erp", 1)], NOW)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (0, {"erp": ("ola",)})


def test_a_cover_at_the_same_destination(office: Office) -> None:
    """Where both are reached through one destination, what waits there is for the person who
    covers, and no longer for the other."""
    office.fetch()
    office.put_in_force(TEXT + FOR_OLA.replace('to = "ola"', 'to = "per"'))
    assert (office.rerouter.follow_covers(), office.goes_to()) == (1, {"mail": ("per",)})


def test_a_cover_that_leaves_a_copy(office: Office) -> None:
    """The person who covers gets what waits, also where the other keeps a copy."""
    office.fetch()
    office.put_in_force(TEXT + FOR_OLA + "keep_copy = true\n")
    assert office.rerouter.follow_covers() == 1
    assert office.goes_to() == {"erp": ("ola",), "archive": ("kari",), "mail": ("kari",)}
    assert office.rerouter.follow_covers() == 0


def test_a_recipient_that_left_the_table(office: Office) -> None:
    """What waits for somebody whom the table no longer knows stays where it is, until an operator
    decides."""
    office.fetch()
    office.put_in_force(TO_OLA.replace('name = "kari"', 'name = "karin"'))
    assert (office.rerouter.follow_covers(), office.goes_to()) == (
        0,
        {"archive": ("kari",), "mail": ("kari",)},
    )


def test_a_letter_that_has_arrived_follows_no_cover(office: Office) -> None:
    """A cover that begins when everything is delivered changes nothing."""
    office.fetch()
    office.deliver("archive", "mail")
    office.put_in_force(TEXT + FOR_OLA)
    assert (office.rerouter.follow_covers(), office.goes_to()) == (0, {})
