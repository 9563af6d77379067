"""What people and monitors are told."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import DeliveryState, MarkKind, Policy, SightingState, message_id
from daemon.store import Store, results
from daemon.store.queries import Counts
from tests.unit.conftest import NOW, SECRET, envelope, newest_messages, stored_letter

pytestmark = pytest.mark.both_databases

LEASE = timedelta(hours=1)


@pytest.fixture
def filled(store: Store) -> Store:
    """Three letters: one delivered halfway, one dead, one held; and one that waits."""
    store.letters.add(
        [
            stored_letter("a", ("erp", "mail")),
            stored_letter("b", due_at=NOW - LEASE),
            stored_letter("c", due_at=NOW + LEASE),
        ]
    )
    (b,) = store.outbox.claim("me", NOW - LEASE, LEASE, 1)
    store.outbox.end([results.dead(b, "never", NOW, NOW)])
    store.outbox.hold(
        [each.id for each in store.queries.deliveries(message_id=message_id("altinn", "c"))]
    )
    store.outbox.claim("me", NOW, LEASE, 1)
    store.letters.record_waiting([envelope("d", SECRET).ref], NOW)
    return store


def test_an_empty_store(store: Store) -> None:
    """Every state is named, also where there is nothing."""
    assert store.queries.counts() == Counts(
        messages=0,
        deliveries=dict.fromkeys(DeliveryState, 0),
        sightings=dict.fromkeys(SightingState, 0),
        oldest_undelivered_at=None,
        last_message_at=None,
    )
    assert store.queries.unfinished() == {}
    assert [
        *newest_messages(store, 10),
        *store.queries.deliveries(),
        *store.queries.bookmarks(),
    ] == []


def test_counts(filled: Store) -> None:
    """Letters and deliveries are counted by state, with the oldest that is not delivered and the
    newest that came."""
    counts = filled.queries.counts()
    assert counts.messages == 3
    assert counts.deliveries == {
        DeliveryState.PENDING: 1,
        DeliveryState.CLAIMED: 1,
        DeliveryState.DELIVERED: 0,
        DeliveryState.HELD: 1,
        DeliveryState.DEAD: 1,
        DeliveryState.WITHDRAWN: 0,
    }
    assert counts.sightings == {
        state: int(state is SightingState.WAITING) for state in SightingState
    }
    assert (counts.oldest_undelivered_at, counts.last_message_at) == (NOW - LEASE, NOW)


def test_what_is_undone(filled: Store) -> None:
    """Whatever is not delivered is undone, and says how."""
    assert filled.queries.unfinished() == {
        DeliveryState.PENDING: 1,
        DeliveryState.CLAIMED: 1,
        DeliveryState.HELD: 1,
        DeliveryState.DEAD: 1,
    }


@pytest.mark.parametrize(
    ("state", "destination", "count"),
    [
        (None, None, 4),
        (None, "erp", 3),
        (None, "mail", 1),
        (DeliveryState.DEAD, None, 1),
        (None, "x", 0),
    ],
)
def test_deliveries_are_sought(
    filled: Store,
    state: DeliveryState | None,
    destination: str | None,
    count: int,
) -> None:
    """Deliveries are listed by state and destination, the oldest first."""
    found = filled.queries.deliveries(state=state, destination=destination)
    assert len(found) == count
    assert [each.created_at for each in found] == sorted(each.created_at for each in found)


def test_what_belongs_to_a_letter(filled: Store) -> None:
    """A letter shows its own attachments, deliveries and marks, and no other's."""
    filled.letters.add(
        [
            stored_letter(
                "e", marks={MarkKind.CONFIRMED: Policy.STORED, MarkKind.READ: Policy.STORED}
            )
        ]
    )
    letter = filled.queries.message("e")
    assert [each.position for each in filled.queries.attachments(letter.id)] == [1]
    assert [each.destination for each in filled.queries.deliveries(message_id=letter.id)] == ["erp"]
    assert [each.kind for each in filled.queries.marks(letter.id)] == [
        MarkKind.READ,
        MarkKind.CONFIRMED,
    ]
    assert filled.queries.marks(message_id("altinn", "a")) == []


@pytest.mark.parametrize(
    "shorten",
    [
        lambda text: text,
        lambda text: text[:8],
        lambda text: text[:4],
        lambda text: text[:11],
        str.upper,
    ],
)
def test_an_id_may_be_shortened(filled: Store, shorten: type[str]) -> None:
    """A letter and a delivery are found by their id or its beginning, in capitals or not, with or
    without hyphens."""
    message, delivery = newest_messages(filled, 1)[0][0], filled.queries.deliveries()[0]
    assert filled.queries.message(shorten(str(message.id))) == message
    assert filled.queries.message(shorten(message.id.hex)) == message
    assert filled.queries.delivery(shorten(str(delivery.id))) == delivery


def test_a_letter_is_found_by_its_id_in_the_mailbox(store: Store) -> None:
    """Altinn's own id of a letter finds it, whole only."""
    store.letters.add([stored_letter("0198a7c0-0000-7000-8000-000000000001")])
    assert store.queries.message("0198a7c0-0000-7000-8000-000000000001")
    with pytest.raises(NotFound):
        store.queries.message("0198a7c0")


def test_a_beginning_that_two_share(store: Store) -> None:
    """A beginning that fits several letters, or an id that two mailboxes use, is refused, not
    guessed at."""
    names, seen = [], dict[str, str]()
    for number in range(2000):
        name = str(number)
        begins = message_id("altinn", name).hex[:4]
        if begins in seen:
            names = [seen[begins], name]
            break
        seen[begins] = name
    store.letters.add([stored_letter(name) for name in names])
    with pytest.raises(OperatorError, match=f"more than one message '{begins}'; write more"):
        store.queries.message(begins)
    store.letters.add([stored_letter("same"), stored_letter("same", mailbox="other")])
    with pytest.raises(OperatorError, match="more than one"):
        store.queries.message("same")


@pytest.mark.parametrize(
    "name",
    ["", "abc", "%", "____", "xyz12345", "-", "a" * 33, str(UUID(int=0)), "0000", "ffffffff"],
)
def test_what_is_not_there(filled: Store, name: str) -> None:
    """A name that fits nothing is answered with where to look."""
    with pytest.raises(
        NotFound, match=r"The message '.*' does not exist; .* `postmottak messages list`"
    ):
        filled.queries.message(name)
    with pytest.raises(
        NotFound, match=r"The delivery '.*' does not exist; .* `postmottak deliveries list`"
    ):
        filled.queries.delivery(name)


def test_the_newest_letters_first(store: Store) -> None:
    """The list of letters begins with the one that came last."""
    letters = [stored_letter(name) for name in "abc"]
    for number, letter in enumerate(letters):
        letter.message.fetched_at = NOW + number * LEASE
    store.letters.add(letters)
    assert [message.external_id for message, _ in newest_messages(store, 2)] == ["c", "b"]


def test_sightings_are_told_the_oldest_first(filled: Store) -> None:
    """What waits longest is told first, and only what is in the state that was asked for."""
    filled.letters.record_skipped(envelope("f").ref, SightingState.FAILING, NOW)
    filled.letters.record_waiting([envelope("e", SECRET).ref], NOW - LEASE)
    assert [each.external_id for each in filled.queries.sightings(SightingState.WAITING)] == [
        "e",
        "d",
    ]
    assert [each.external_id for each in filled.queries.sightings(SightingState.FAILING)] == ["f"]
