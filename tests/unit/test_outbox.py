"""The outbox: who may attempt what, and how an attempt ends."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from daemon.core.model import DeliveryState, Outcome
from daemon.core.parcels import Receipt
from daemon.store import Store, results
from daemon.store.claims import POISON_AFTER
from tests.unit.claiming import ENDS, LEASE, SECOND, End, claim_one, delivery_of, now_is
from tests.unit.conftest import NOW, stored_letter

pytestmark = pytest.mark.both_databases


def test_a_claim_has_all_that_a_delivery_needs(store: Store) -> None:
    """A claim carries the letter and its attachments, and counts as an attempt of its owner until
    the lease ends."""
    store.letters.add([stored_letter("a")])
    claim = claim_one(store)
    assert (
        claim.id,
        claim.message.external_id,
        [each.safe_name for each in claim.attachments],
    ) == (delivery_of("a"), "a", ["001-a.pdf"])
    assert (claim.fence, claim.lease_ends) == (1, NOW + LEASE)
    now = now_is(store)
    assert (now.state, now.owner, now.attempts, now.due_at) == (
        DeliveryState.CLAIMED,
        "me",
        1,
        NOW + LEASE,
    )


def test_the_longest_due_comes_first(store: Store) -> None:
    """Of many deliveries the ones that have waited longest are claimed, as many as are asked for,
    and none before its time."""
    hours = {"new": -1, "old": -3, "older": -4, "middle": -2, "future": 1}
    store.letters.add(
        [stored_letter(name, due_at=NOW + timedelta(hours=hour)) for name, hour in hours.items()]
    )
    batches = [
        {claim.message.external_id for claim in store.outbox.claim("me", NOW, LEASE, 2)}
        for _ in range(3)
    ]
    assert batches == [{"old", "older"}, {"middle", "new"}, set()]
    assert {
        claim.message.external_id
        for claim in store.outbox.claim("me", NOW + LEASE - SECOND, LEASE, 9)
    } == set()


def test_a_delivery_is_due_from_its_time_on(store: Store) -> None:
    """Due means that its time has come, to the moment."""
    store.letters.add([stored_letter("a", due_at=NOW)])
    assert store.outbox.claim("me", NOW - timedelta(microseconds=1), LEASE, 1) == []
    assert len(store.outbox.claim("me", NOW, LEASE, 1)) == 1


def test_a_lease_that_ran_out_is_claimed_again(store: Store) -> None:
    """Until its lease ends nobody else gets a delivery; then anybody may, with a higher fence."""
    store.letters.add([stored_letter("a")])
    first = claim_one(store)
    assert store.outbox.claim("other", NOW + LEASE - SECOND, LEASE, 1) == []
    second = claim_one(store, NOW + LEASE)
    assert (second.id, second.fence) == (first.id, first.fence + 1)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_late_result_changes_nothing(store: Store, end: End) -> None:
    """A result that comes when another claim has been made, or when it came already, is refused and
    leaves no trace."""
    store.letters.add([stored_letter("a")])
    first, second = claim_one(store), claim_one(store, NOW + LEASE)
    before = now_is(store)
    assert not end(store.outbox, first)
    assert now_is(store) == before
    assert store.queries.attempts(first.id) == []
    assert end(store.outbox, second)
    after = now_is(store)
    for late in (*ENDS.values(), end):
        assert not late(store.outbox, second)
    assert now_is(store) == after
    assert len(store.queries.attempts(first.id)) == 1


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("delivered", DeliveryState.DELIVERED, ""),
        ("deferred", DeliveryState.PENDING, "nobody is at home"),
        ("dead", DeliveryState.DEAD, "no such folder"),
    ],
)
def test_each_outcome_is_recorded(
    store: Store, name: str, state: DeliveryState, reason: str
) -> None:
    """An attempt is a row with its outcome, reason and length, and the delivery shows where it
    stands."""
    store.letters.add([stored_letter("a")])
    claim = claim_one(store)
    assert ENDS[name](store.outbox, claim)
    (attempt,) = store.queries.attempts(claim.id)
    assert (
        attempt.outcome,
        attempt.reason,
        attempt.started_at,
        attempt.duration_ms,
        attempt.fence,
    ) == (
        Outcome(name),
        reason,
        NOW,
        1000,
        1,
    )
    now = now_is(store)
    assert (now.state, now.owner, now.last_error or "") == (state, None, reason)
    assert now.delivered_at == (NOW + SECOND if name == "delivered" else None)
    assert now.evidence == (
        {"reference": "/srv/erp/x", "files": ["a"]} if name == "delivered" else None
    )
    assert store.outbox.claim("me", NOW + LEASE - SECOND, LEASE, 1) == []
    assert len(store.outbox.claim("me", NOW + LEASE, LEASE, 1)) == (1 if name == "deferred" else 0)


_ODD = (
    "'\"\\\\",
    "%s %(x)s",
    "{}",
    "\\\\u0041",
    "æøå \U0001f389\u2028",
    "x" * 100_000,
    "\t\n\r",
    "",
)
"""Texts that a statement, or JSON inside one, could take for something else."""


def test_results_are_kept_as_they_were_said(store: Store) -> None:
    """Of several results that are recorded together each delivery has its own, letter by letter:
    what the destination said, the reason of a failure, and when."""
    store.letters.add([stored_letter(f"{number}") for number in range(2 * len(_ODD))])
    claims = store.outbox.claim("me", NOW, LEASE, 99)
    ends: list[results.ClaimResult] = []
    wanted: dict[UUID, tuple[object, str | None, datetime]] = {}
    for claim, text, is_good in zip(
        claims, _ODD * 2, [True] * len(_ODD) + [False] * len(_ODD), strict=True
    ):
        at = NOW + timedelta(microseconds=1 + len(ends))
        if is_good:
            receipt = Receipt(reference=text, details={"said": [text, None, True, 7]})
            ends.append(results.delivered(claim, receipt, NOW, at))
            wanted[claim.id] = ({"reference": text, "said": [text, None, True, 7]}, None, at)
        else:
            ends.append(results.deferred(claim, text, at, NOW, at))
            wanted[claim.id] = (None, text, at)
    assert store.outbox.end(ends) == set(wanted)
    for key, (evidence, reason, at) in wanted.items():
        now = store.queries.delivery(str(key))
        moment = now.delivered_at if evidence else now.due_at
        assert (now.evidence, now.last_error, moment) == (evidence, reason, at)
    assert store.journal.verify().faults == []


def test_success_clears_the_last_error(store: Store) -> None:
    """What failed and then went well shows no error, but both attempts."""
    store.letters.add([stored_letter("a")])
    ENDS["deferred"](store.outbox, claim_one(store))
    ENDS["delivered"](store.outbox, claim_one(store, NOW + LEASE))
    assert now_is(store).last_error is None
    assert [each.outcome for each in store.queries.attempts(delivery_of("a"))] == [
        Outcome.DEFERRED,
        Outcome.DELIVERED,
    ]


def test_abandoned_claims_are_lost_attempts(store: Store) -> None:
    """What a process that is gone had claimed is due at once and recorded as lost; nothing else is
    touched."""
    store.letters.add(
        [stored_letter("a"), stored_letter("b"), stored_letter("c", due_at=NOW + LEASE)]
    )
    claims = {
        claim.message.external_id: claim for claim in store.outbox.claim("gone", NOW, LEASE, 2)
    }
    ENDS["delivered"](store.outbox, claims["b"])
    assert store.outbox.release_abandoned(NOW + SECOND) == 1
    now = now_is(store, "a")
    assert (now.state, now.due_at, now.owner, now.attempts) == (
        DeliveryState.PENDING,
        NOW + SECOND,
        None,
        1,
    )
    (lost,) = store.queries.attempts(claims["a"].id)
    assert (lost.outcome, lost.fence) == (Outcome.LOST, 1)
    assert now_is(store, "b").state is DeliveryState.DELIVERED
    assert now_is(store, "c").due_at == NOW + LEASE
    assert not ENDS["delivered"](store.outbox, claims["a"])
    assert store.outbox.release_abandoned(NOW) == 0


def crash(store: Store, external_id: str, times: int) -> None:
    """The process ends so many times during an attempt of this letter's delivery, and of no
    other."""
    for _ in range(times):
        claims = [
            *store.outbox.claim("gone", NOW, LEASE, 99),
            *store.outbox.claim_poison("gone", NOW, LEASE),
        ]
        for other in (claim for claim in claims if claim.message.external_id != external_id):
            ENDS["deferred"](store.outbox, other)
        store.outbox.release_abandoned(NOW)


def test_a_letter_that_kills_the_process_three_times_is_dead(store: Store) -> None:
    """A delivery whose process ended three times during the attempt is not tried a fourth time by
    itself, and an operator can."""
    store.letters.add([stored_letter("a")])
    crash(store, "a", 2)
    assert now_is(store).state is DeliveryState.PENDING
    crash(store, "a", 1)
    assert (now_is(store).state, now_is(store).last_error) == (
        DeliveryState.DEAD,
        "the process ended three times during its attempt",
    )
    assert [each.outcome for each in store.queries.attempts(delivery_of("a"))] == [Outcome.LOST] * 3
    store.outbox.retry([delivery_of("a")], NOW)
    assert claim_one(store).id == delivery_of("a")


def test_an_orderly_stop_is_nobodys_fault(store: Store) -> None:
    """However often the service is stopped during its attempt, a delivery is pending afterwards,
    and no suspect."""
    store.letters.add([stored_letter("a")])
    for _ in range(POISON_AFTER + 2):
        claim_one(store)
        assert store.outbox.release_abandoned(NOW, stopped=True) == 1
    assert (now_is(store).state, now_is(store).crashes) == (DeliveryState.PENDING, 0)


def test_a_suspect_is_claimed_by_itself(store: Store) -> None:
    """A delivery at which the process ended twice is claimed with no other, so that the third time
    it is known who did it."""
    store.letters.add([stored_letter(name) for name in "ab"])
    crash(store, "a", 1)
    assert {claim.message.external_id for claim in store.outbox.claim("me", NOW, LEASE, 9)} == {"a"}
    store.outbox.release_abandoned(NOW)
    assert now_is(store, "a").crashes == POISON_AFTER
    store.outbox.retry([delivery_of("b")], NOW)
    assert {claim.message.external_id for claim in store.outbox.claim("me", NOW, LEASE, 9)} == {"b"}
    assert store.outbox.claim_poison("me", NOW - SECOND, LEASE) == []
    (suspect,) = store.outbox.claim_poison("me", NOW, LEASE)
    assert suspect.message.external_id == "a"
    assert ENDS["delivered"](store.outbox, suspect)
    assert store.outbox.claim_poison("me", NOW + 2 * LEASE, LEASE) == []


def test_claims_are_for_some_destinations(store: Store) -> None:
    """A claim can be for named destinations only, or for all but these; when the next is due can
    leave some out."""
    store.letters.add([stored_letter("a", ("erp", "mail", "old"))])
    assert [
        claim.delivery.destination
        for claim in store.outbox.claim("me", NOW, LEASE, 9, only=["mail"])
    ] == ["mail"]
    assert [
        claim.delivery.destination
        for claim in store.outbox.claim("me", NOW, LEASE, 9, exclude=["erp", "mail"])
    ] == ["old"]
    assert store.outbox.next_due(["mail", "old"]) == NOW
    assert store.outbox.next_due(["erp", "mail"]) == NOW + LEASE
    assert store.outbox.next_due(["erp", "mail", "old"]) is None


def test_when_the_next_is_due(store: Store) -> None:
    """The time to wake is that of the first delivery that is pending, or whose lease ends; of no
    other."""
    assert store.outbox.next_due() is None
    store.letters.add([stored_letter("a", due_at=NOW), stored_letter("b", due_at=NOW + 2 * LEASE)])
    assert store.outbox.next_due() == NOW
    claim = claim_one(store)
    assert store.outbox.next_due() == NOW + LEASE
    ENDS["dead"](store.outbox, claim)
    assert store.outbox.next_due() == NOW + 2 * LEASE
    store.outbox.hold([delivery_of("b")])
    assert store.outbox.next_due() is None


def test_a_lease_is_renewed_by_its_holder_only(store: Store) -> None:
    """An attempt that takes long keeps its lease; one that somebody else has claimed since, or that
    has ended, gets none back."""
    store.letters.add([stored_letter("a")])
    first = claim_one(store)
    store.outbox.renew([first], NOW + 3 * LEASE)
    assert now_is(store).due_at == NOW + 3 * LEASE
    second = claim_one(store, NOW + 3 * LEASE)
    store.outbox.renew([first], NOW + 9 * LEASE)
    assert now_is(store).due_at == NOW + 4 * LEASE
    ENDS["deferred"](store.outbox, second)
    store.outbox.renew([second], NOW + 9 * LEASE)
    assert now_is(store).due_at == NOW + LEASE


def test_threads_and_processes_never_share_a_claim(store: Store, database_url: str) -> None:
    """However many claim at a time, through one store or two, each delivery has one holder, and
    every one has."""
    store.letters.add([stored_letter(str(number)) for number in range(60)])
    other = Store(database_url)
    together, lock = threading.Barrier(6), threading.Lock()
    taken: list[UUID] = []

    def work(mine: Store, name: str) -> None:
        together.wait()
        while claims := mine.outbox.claim(name, NOW, LEASE, 4):
            with lock:
                taken.extend(claim.id for claim in claims)

    threads = [
        threading.Thread(target=work, args=((store, other)[number % 2], str(number)))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(taken) == sorted(delivery_of(str(number)) for number in range(60))
