"""The outbox for an operator: retry, hold, release and resend."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import DeliveryState, delivery_id, message_id
from daemon.store import Outbox, Store
from tests.unit.claiming import ENDS, LEASE, claim_one, delivery_of, now_is
from tests.unit.conftest import NOW, stored_letter

pytestmark = pytest.mark.both_databases


def put_into(store: Store, state: DeliveryState, external_id: str) -> None:
    """A delivery in this state."""
    store.letters.add([stored_letter(external_id)])
    if state is DeliveryState.HELD:
        store.outbox.hold([delivery_of(external_id)])
    elif state is not DeliveryState.PENDING:
        claim = next(
            each
            for each in store.outbox.claim("me", NOW, LEASE, 99)
            if each.message.external_id == external_id
        )
        if state is not DeliveryState.CLAIMED:
            ENDS[state.value](store.outbox, claim)


@pytest.mark.parametrize("name", ["delivered", "dead"])
def test_resending_makes_a_new_generation(store: Store, name: str) -> None:
    """What was delivered or is dead is delivered again under a new id each time; the old delivery
    stays as it was."""
    store.letters.add([stored_letter("a")])
    ENDS[name](store.outbox, claim_one(store))
    before = now_is(store)
    new = [store.outbox.resend([delivery_of("a")], NOW + LEASE) for _ in range(2)]
    assert new == [
        [delivery_id(message_id("altinn", "a"), "erp", generation)] for generation in (2, 3)
    ]
    assert now_is(store) == before
    second = store.queries.delivery(str(new[0][0]))
    assert (second.state, second.due_at, second.recipients, second.attempts) == (
        DeliveryState.PENDING,
        NOW + LEASE,
        ["post"],
        0,
    )
    with pytest.raises(
        OperatorError, match="is pending; this is for deliveries that are delivered or dead"
    ):
        store.outbox.resend([delivery_of("a"), new[0][0]], NOW)
    assert len(store.queries.deliveries()) == 3


VERBS: dict[str, Callable[[Outbox, list[UUID]], int]] = {
    "retry": lambda outbox, ids: outbox.retry(ids, NOW + LEASE),
    "hold": lambda outbox, ids: outbox.hold(ids),
    "release": lambda outbox, ids: outbox.release(ids, NOW + LEASE),
}
ALLOWED = {
    "retry": {DeliveryState.PENDING, DeliveryState.DEAD},
    "hold": {DeliveryState.PENDING},
    "release": {DeliveryState.HELD},
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", [each for each in DeliveryState if each != "withdrawn"])
def test_an_operator_changes_what_may_be_changed(
    store: Store, verb: str, state: DeliveryState
) -> None:
    """Each verb is for certain states; for others it says which state the delivery is in and which
    it would need."""
    put_into(store, state, "a")
    before = now_is(store)
    if state in ALLOWED[verb]:
        assert VERBS[verb](store.outbox, [delivery_of("a")]) == 1
        now = now_is(store)
        assert now.state is (DeliveryState.HELD if verb == "hold" else DeliveryState.PENDING)
        assert now.due_at == (before.due_at if verb == "hold" else NOW + LEASE)
    else:
        with pytest.raises(
            OperatorError,
            match=rf"{before.id} is {state.value}; this is for deliveries that are \w+",
        ):
            VERBS[verb](store.outbox, [delivery_of("a")])
        assert now_is(store) == before


@pytest.mark.parametrize("verb", VERBS)
def test_an_operator_changes_all_or_none(store: Store, verb: str) -> None:
    """If one of several deliveries is not there, or may not be changed, none of them is, and the
    error says which."""
    right = next(iter(ALLOWED[verb]))
    put_into(store, DeliveryState.DELIVERED, "b")
    put_into(store, right, "a")
    before = now_is(store)
    nobody = uuid4()
    with pytest.raises(NotFound, match=rf"{nobody} does not exist.*postmottak deliveries list"):
        VERBS[verb](store.outbox, [delivery_of("a"), nobody])
    with pytest.raises(OperatorError, match=str(delivery_of("b"))):
        VERBS[verb](store.outbox, [delivery_of("a"), delivery_of("b")])
    assert now_is(store) == before
    assert VERBS[verb](store.outbox, []) == 0


def test_a_held_delivery_is_not_claimed(store: Store) -> None:
    """What an operator put aside stays there until it is released."""
    put_into(store, DeliveryState.HELD, "a")
    assert store.outbox.claim("me", NOW + 24 * LEASE, LEASE, 1) == []
    store.outbox.release([delivery_of("a")], NOW)
    assert len(store.outbox.claim("me", NOW, LEASE, 1)) == 1
