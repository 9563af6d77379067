"""Deliveries that a cover, a new table or an operator withdrew: still shown, and never revived."""

from __future__ import annotations

import pytest

from daemon.core.errors import OperatorError
from daemon.core.model import DeliveryState, MarkState, Policy, delivery_id
from daemon.intake.new_letter import MarkPolicies
from tests.unit.conftest import NOW
from tests.unit.office import (
    FOR_OLA,
    TEXT,
    TO_OLA,
    Office,
    new_office,  # noqa: F401  # a fixture
)

THREE = ["no answer 1", "no answer 2", "no answer 3"]


@pytest.mark.parametrize("by", ["a cover", "the table", "an operator"])
def test_attempts_outlive_a_withdrawal(office: Office, by: str) -> None:
    """Whatever withdraws a delivery, it and all its attempts can still be shown."""
    key = office.fetch()
    office.try_in_vain("mail", 3)
    if by == "a cover":
        office.put_in_force(TEXT + FOR_OLA)
        office.rerouter.follow_covers()
    elif by == "the table":
        office.put_in_force(TO_OLA)
        office.rerouter.apply(NOW)
    else:
        office.rerouter.route(key, "ola")
    assert office.goes_to() == {"erp": ("ola",)}
    assert office.withdrawn() == {"archive": [], "mail": THREE}
    shown = office.store.queries.delivery(str(delivery_id(key, "mail", 1)))
    assert (shown.state, shown.attempts, shown.last_error) == ("withdrawn", 3, "no answer 3")


def test_generations_go_on_after_a_withdrawal(office: Office) -> None:
    """Back at a destination from which it was withdrawn, a letter is a delivery of its own."""
    key = office.fetch()
    office.try_in_vain("mail", 3)
    office.rerouter.route(key, "ola")
    office.rerouter.route(key, "kari")
    office.put_in_force(TEXT + FOR_OLA)
    assert office.goes_to() == {"archive": ("kari",), "mail": ("kari",)}
    assert [each.generation for (each,) in office.deliveries().values()] == [2, 2]
    office.rerouter.follow_covers()
    office.clock.advance(days=2)
    office.rerouter.follow_covers()
    assert [each.generation for (each,) in office.deliveries().values()] == [3, 3]
    office.deliver("archive", "mail")
    assert office.store.outbox.resend([delivery_id(key, "mail", 3)], office.clock()) == [
        delivery_id(key, "mail", 4)
    ]


@pytest.mark.parametrize("act", ["retry", "hold", "release", "resend"])
def test_an_operator_cannot_revive_a_withdrawn_delivery(office: Office, act: str) -> None:
    """The refusal says what happened to the delivery and what to do instead."""
    key = office.fetch()
    office.rerouter.route(key, "ola")
    ids = [delivery_id(key, "mail", 1)]
    outbox = office.store.outbox
    with pytest.raises(OperatorError, match=r"was withdrawn.*postmottak messages route"):
        outbox.hold(ids) if act == "hold" else getattr(outbox, act)(ids, NOW)
    assert office.goes_to() == {"erp": ("ola",)}


def test_a_withdrawn_delivery_is_not_in_the_outbox(office: Office) -> None:
    """It is counted and listed by its own name, and nowhere as something that waits or is dead."""
    key = office.fetch()
    office.rerouter.route(key, "ola")
    queries = office.store.queries
    assert queries.unfinished() == {DeliveryState.PENDING: 1}
    assert queries.queues() == {("erp", DeliveryState.PENDING): 1}
    assert list(queries.oldest_waiting()) == ["erp"]
    assert queries.counts().deliveries[DeliveryState.WITHDRAWN] == 2
    office.deliver("erp")
    assert office.store.outbox.next_due() is None
    assert queries.counts().oldest_undelivered_at is None


def test_what_was_withdrawn_keeps_no_mark_and_no_letter(office: Office) -> None:
    """A letter that all others have is called read, whatever became of a delivery that was dead;
    one that nobody has got is not."""
    key = office.fetch(policies=MarkPolicies(read=Policy.DELIVERED))
    office.try_in_vain("mail", 1)
    office.rerouter.route(key, "ola")
    assert office.store.queries.marks(key)[0].state is MarkState.WAITING
    assert not list(office.store.retention.candidates(office.clock()))
    office.deliver("erp")
    (mark,) = office.store.queries.marks(key)
    assert mark.state is MarkState.DUE
    office.store.marks.done(mark, office.clock())
    assert [each.message_id for each in office.store.retention.candidates(office.clock())] == [key]


def test_a_rejected_letter_stays_when_its_repeat_was_withdrawn(office: Office) -> None:
    """A delivery that was withdrawn does not stand for the rejected one before it."""
    key = office.fetch(title="Annet")
    office.deliver("erp")
    first = delivery_id(key, "erp", 1)
    office.store.outbox.picked_up(first, office.clock(), "nei")
    office.store.outbox.resend([first], office.clock())
    office.rerouter.route(key, "per")
    office.deliver("mail")
    assert [each.state for each in office.deliveries()["erp"]] == [DeliveryState.DELIVERED]
    assert not list(office.store.retention.candidates(office.clock()))
