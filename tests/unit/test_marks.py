"""Marks: a sender is told that a letter was handled only when it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.core.model import Mark, MarkKind, MarkState, Policy, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.store import Claim, Store, results
from tests.unit.conftest import NOW, stored_letter

pytestmark = pytest.mark.both_databases

LEASE = timedelta(hours=1)
BOTH = {MarkKind.READ: Policy.STORED, MarkKind.CONFIRMED: Policy.DELIVERED}


def states(store: Store, external_id: str = "a") -> dict[MarkKind, MarkState]:
    """How the letter's marks stand."""
    return {
        mark.kind: mark.state for mark in store.queries.marks(message_id("altinn", external_id))
    }


def due(store: Store, limit: int = 100) -> list[tuple[str, MarkKind]]:
    """What may be told now."""
    return [(ref.external_id, mark.kind) for mark, ref in store.marks.due("altinn", NOW, limit)]


def claim(store: Store) -> dict[str, Claim]:
    """Every delivery that is due, by destination."""
    return {each.delivery.destination: each for each in store.outbox.claim("me", NOW, LEASE, 10)}


def deliver(store: Store, one: Claim) -> None:
    """The destination has it."""
    assert store.outbox.end([results.delivered(one, Receipt(reference="x", details={}), NOW, NOW)])


def test_what_waits_for_nothing_is_due(store: Store) -> None:
    """A mark of the policy `stored` is due with the letter; one of `delivered` waits."""
    store.letters.add([stored_letter("a", marks=BOTH)])
    assert due(store) == [("a", MarkKind.READ)]
    assert states(store) == {MarkKind.READ: MarkState.DUE, MarkKind.CONFIRMED: MarkState.WAITING}


def test_a_deferral_does_not_undo_a_refetch(store: Store) -> None:
    """A mark that becomes due while it is being tried stays due, although that try still fails."""
    store.letters.add([stored_letter("a", marks=BOTH)])
    ((tried, _),) = store.marks.due("altinn", NOW, 1)
    store.marks.due_now(tried.message_id, NOW - timedelta(seconds=1))
    store.marks.deferred(tried, "an attachment is missing", NOW + timedelta(minutes=1), NOW)
    assert due(store) == [("a", MarkKind.READ)]
    ((again, _),) = store.marks.due("altinn", NOW, 1)
    store.marks.deferred(again, "an attachment is missing", NOW + timedelta(minutes=1), NOW)
    assert due(store) == []


def test_a_mark_waits_for_every_delivery(store: Store) -> None:
    """With two destinations, the sender is told when both have the letter, and not when one has."""
    store.letters.add(
        [
            stored_letter("a", ("erp", "mail"), {MarkKind.READ: Policy.DELIVERED}),
            stored_letter("b", marks=BOTH),
        ]
    )
    claims = {
        (each.message.external_id, each.delivery.destination): each
        for each in store.outbox.claim("me", NOW, LEASE, 10)
    }
    deliver(store, claims["a", "erp"])
    assert states(store) == {MarkKind.READ: MarkState.WAITING}
    deliver(store, claims["a", "mail"])
    assert states(store) == {MarkKind.READ: MarkState.DUE}
    assert states(store, "b")[MarkKind.CONFIRMED] is MarkState.WAITING


@pytest.mark.parametrize("other", ["pending", "claimed", "held", "dead"])
def test_a_delivery_that_is_not_delivered_blocks(store: Store, other: str) -> None:
    """While one delivery waits, is held or is dead, the sender is not told; once it is delivered
    after all, the sender is."""
    store.letters.add([stored_letter("a", ("erp", "mail"), {MarkKind.CONFIRMED: Policy.DELIVERED})])
    this = delivery_id(message_id("altinn", "a"), "mail", 1)
    if other == "held":
        store.outbox.hold([this])
    claims = claim(store)
    if other == "pending":
        store.outbox.end([results.deferred(claims["mail"], "later", NOW, NOW, NOW)])
    elif other == "dead":
        store.outbox.end([results.dead(claims["mail"], "never", NOW, NOW)])
    deliver(store, claims["erp"])
    assert due(store) == []
    if other == "held":
        store.outbox.release([this], NOW)
    elif other == "dead":
        store.outbox.retry([this], NOW)
    deliver(store, claims["mail"] if other == "claimed" else claim(store)["mail"])
    assert due(store) == [("a", MarkKind.CONFIRMED)]


def test_read_comes_before_confirmed(store: Store) -> None:
    """A letter is Read before it is Confirmed, and one mailbox's marks are no other's."""
    marks = {MarkKind.CONFIRMED: Policy.STORED, MarkKind.READ: Policy.STORED}
    store.letters.add(
        [stored_letter("a", marks=marks), stored_letter("b", marks=marks, mailbox="other")]
    )
    assert due(store) == [("a", MarkKind.READ), ("a", MarkKind.CONFIRMED)]
    assert due(store, limit=1) == [("a", MarkKind.READ)]


def test_what_was_told_is_told_once(store: Store) -> None:
    """A mark that is done is not due again; one that failed is due later; both keep when and
    why."""
    store.letters.add(
        [
            stored_letter(
                "a", marks={MarkKind.READ: Policy.STORED, MarkKind.CONFIRMED: Policy.STORED}
            )
        ]
    )
    (read, _), (confirmed, _) = store.marks.due("altinn", NOW, 10)
    store.marks.done(read, NOW)
    store.marks.deferred(confirmed, "not now", NOW + LEASE)
    assert due(store) == []
    assert store.marks.outstanding() == 1
    ((later, ref),) = store.marks.due("altinn", NOW + LEASE, 10)
    assert (later.kind, later.attempts, later.last_error, ref.external_id) == (
        MarkKind.CONFIRMED,
        1,
        "not now",
        "a",
    )
    assert _done(store) == [(MarkKind.READ, NOW)]


def _done(store: Store) -> list[tuple[MarkKind, object]]:
    marks: list[Mark] = [
        mark
        for mark in store.queries.marks(message_id("altinn", "a"))
        if mark.state is MarkState.DONE
    ]
    return [(mark.kind, mark.done_at) for mark in marks]
