"""Dispatch: three outcomes, each recorded, and the same parcel however often it is tried."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from daemon.core.errors import PermanentFailure, StoreError, TemporaryFailure
from daemon.core.model import Attachment, DeliveryState, Outcome, PartState, message_id
from daemon.core.parcels import Addressee
from daemon.core.ports import Parcel
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.throttle import CONCURRENCY
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, active_snapshot, sha256, stored_letter
from tests.unit.desk import Desk, new_desk  # noqa: F401  # a fixture
from tests.unit.memory import nothing_happens

NOT_NOW = TemporaryFailure("nobody is at home")
NEVER = PermanentFailure("no such folder")
LETTER = message_id("altinn", "a")


def test_a_parcel_is_handed_over_whole(desk: Desk) -> None:
    """The destination gets the letter's text, its attachments' bytes, and for whom they are; the
    receipt is kept as evidence."""
    desk.store.letters.add([stored_letter("a")])
    assert desk.deliver() == {Outcome.DELIVERED: 1}
    (parcel,) = desk.erp.handed
    delivery = desk.now_is()
    assert (parcel.delivery_id, parcel.generation, parcel.destination) == (delivery.id, 1, "erp")
    assert parcel.addressees == (Addressee(name="post"),)
    assert parcel.document.id == LETTER
    assert {
        name: text for name, text in desk.erp.kept[delivery.id].items() if name != "message.json"
    } == {
        "body.md": "Hei på deg".encode(),
        "001-a.pdf": b"pdf",
    }
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.evidence == {
        "reference": f"erp/{delivery.id}",
        "files": ["001-a.pdf", "body.md", "message.json"],
    }


def test_only_parts_that_are_here_are_in_the_parcel(desk: Desk) -> None:
    """What could not be had is in the document and not in the parcel; what failed its check is in
    both."""
    letter = stored_letter("a")
    states = [PartState.PRESENT, PartState.EXPIRED, PartState.CHECKSUM_FAILED, PartState.EXTERNAL]
    kept = {PartState.PRESENT, PartState.CHECKSUM_FAILED}
    parts = [
        Attachment(
            message_id=LETTER,
            position=place,
            external_id=str(place),
            original_name="x",
            safe_name=f"{place:03d}-x",
            state=state,
            size=3 if state in kept else None,
            sha256=sha256(b"pdf") if state in kept else None,
        )
        for place, state in enumerate(states, start=1)
    ]
    desk.store.letters.add([replace(letter, attachments=parts)])
    desk.deliver()
    (parcel,) = desk.erp.handed
    assert [(part.name, part.size) for part in parcel.parts] == [("001-x", 3), ("003-x", 3)]
    assert [(file.name, file.state) for file in parcel.document.files] == [
        (f"{place:03d}-x", state) for place, state in enumerate(states, 1)
    ]


@pytest.mark.parametrize(
    ("error", "outcome", "state", "reason"),
    [
        (None, Outcome.DELIVERED, DeliveryState.DELIVERED, ""),
        (NOT_NOW, Outcome.DEFERRED, DeliveryState.PENDING, "nobody is at home"),
        (NEVER, Outcome.DEAD, DeliveryState.DEAD, "no such folder"),
        (
            ZeroDivisionError("x"),
            Outcome.DEFERRED,
            DeliveryState.PENDING,
            "unexpected ZeroDivisionError in the connector; see the log",
        ),
        (
            OSError(5, "x"),
            Outcome.DEFERRED,
            DeliveryState.PENDING,
            "unexpected OSError in the connector; see the log",
        ),
    ],
)
def test_three_outcomes(
    desk: Desk, error: Exception | None, outcome: Outcome, state: DeliveryState, reason: str
) -> None:
    """What a destination reports is recorded as an attempt, and what it did not mean to say is a
    fault that is deferred."""
    desk.store.letters.add([stored_letter("a"), stored_letter("b", ("mail",))])
    desk.erp.fails = iter([error] if error else [])
    assert desk.deliver() == Counter([outcome, Outcome.DELIVERED])
    assert (desk.now_is().state, desk.now_is().last_error or "") == (state, reason)
    assert desk.outcomes() == [(outcome, reason)]
    assert desk.outcomes("b", "mail") == [(Outcome.DELIVERED, "")]


def test_each_attempt_is_one_line(desk: Desk, logged: list[Any]) -> None:
    """The log has one line for each attempt: what, where to, how it ended and why; and a
    connector's fault says so in a line of its own."""
    desk.store.letters.add([stored_letter("a", ("erp", "mail"), title="Oppsigelse")])
    desk.erp.fails = iter([ZeroDivisionError("x")])
    desk.deliver()
    attempts = {
        line["destination"]: line for line in logged if line["event"] == "delivery attempted"
    }
    assert (
        attempts["mail"]["outcome"],
        attempts["mail"]["message"],
        attempts["mail"]["attempt"],
    ) == ("delivered", str(LETTER), 1)
    assert (attempts["erp"]["outcome"], attempts["erp"]["delivery"]) == (
        "deferred",
        str(desk.now_is().id),
    )
    assert "ZeroDivisionError" in attempts["erp"]["reason"]
    faults = [line for line in logged if line.get("exc_info")]
    assert [(line["destination"], line["delivery"]) for line in faults] == [
        ("erp", str(desk.now_is().id))
    ]
    assert "Oppsigelse" not in str(logged)


def test_a_deferred_delivery_is_tried_again(desk: Desk) -> None:
    """What was deferred is not tried before its time, and then it is, until it is delivered."""
    desk.store.letters.add([stored_letter("a")])
    desk.erp.fails = iter([NOT_NOW, NOT_NOW])
    assert desk.deliver() == {Outcome.DEFERRED: 1}
    assert desk.deliver() == {}
    while desk.now_is().state is DeliveryState.PENDING:
        desk.clock.now = desk.now_is().due_at
        desk.deliver()
    assert [outcome for outcome, _ in desk.outcomes()] == [
        Outcome.DEFERRED,
        Outcome.DEFERRED,
        Outcome.DELIVERED,
    ]
    assert desk.now_is().attempts == 3


def test_what_the_destination_asked_for_is_kept(desk: Desk) -> None:
    """A destination that says how long to wait is not asked sooner."""
    desk.store.letters.add([stored_letter("a")])
    desk.erp.fails = iter([TemporaryFailure("busy", retry_after=timedelta(hours=9))])
    desk.deliver()
    assert desk.now_is().due_at == NOW + timedelta(hours=9)


def test_what_is_done_is_not_done_again(desk: Desk) -> None:
    """What a destination says it has done already comes back with the next attempt, also when an
    attempt says nothing of it."""
    desk.store.letters.add([stored_letter("a")])
    done = {"sent_to": ["post@example.no"]}
    desk.erp.fails = iter([TemporaryFailure("half of it", progress=done), NOT_NOW])
    desk.deliver()
    for _ in range(2):
        desk.clock.now = desk.now_is().due_at
        desk.deliver()
    assert [parcel.progress for parcel in desk.erp.handed] == [{}, done, done]
    assert desk.now_is().state is DeliveryState.DELIVERED


def test_a_destination_that_left_the_configuration(desk: Desk) -> None:
    """A delivery to a destination that is not there any more waits, and says what to do."""
    desk.store.letters.add([stored_letter("a", ("old",))])
    assert desk.deliver() == {Outcome.DEFERRED: 1}
    assert "the destination 'old' is not in the configuration; add it again, or hold" in (
        desk.now_is("a", "old").last_error or ""
    )


@pytest.mark.parametrize("error", [NOT_NOW, KeyError("x")], ids=["temporary", "fault"])
@pytest.mark.parametrize(
    ("age", "state"),
    [(timedelta(days=4, hours=23), DeliveryState.PENDING), (timedelta(days=5), DeliveryState.DEAD)],
)
def test_giving_up_by_age(
    desk: Desk, error: Exception, age: timedelta, state: DeliveryState
) -> None:
    """A delivery that still fails after five days is dead with its last reason; it is not thrown
    away, and can be retried."""
    desk.store.letters.add([stored_letter("a", due_at=NOW - age)])
    desk.erp.fails = iter([error])
    desk.deliver()
    assert desk.now_is().state is state
    if state is DeliveryState.DEAD:
        assert (desk.now_is().last_error or "").startswith("given up after 5d: ")
        desk.store.outbox.retry([desk.now_is().id], NOW)
        assert desk.deliver() == {Outcome.DELIVERED: 1}


def test_age_does_not_matter_to_a_delivery_that_succeeds(desk: Desk) -> None:
    """After a long outage of ours, old letters are delivered like new ones."""
    desk.store.letters.add([stored_letter("a", due_at=NOW - timedelta(days=50))])
    assert desk.deliver() == {Outcome.DELIVERED: 1}


def test_giving_up_says_how_long_it_was_tried(desk: Desk, content: ContentFolder) -> None:
    """The reason names the time that is configured, also where that is not whole days."""
    desk.store.letters.add([stored_letter("a", due_at=NOW - timedelta(days=5))])
    desk.dispatch = Dispatch(
        store=desk.store,
        content=content,
        active=active_snapshot(desk.places),
        clock=desk.clock,
        give_up_after=timedelta(hours=12),
    )
    desk.erp.fails = iter([NOT_NOW])
    desk.deliver()
    assert desk.now_is().last_error == "given up after 12h: nobody is at home"


def test_more_than_at_a_time(desk: Desk) -> None:
    """All that is due is attempted in one go, however much it is."""
    desk.store.letters.add([stored_letter(str(number), ("erp", "mail")) for number in range(50)])
    assert desk.deliver() == {Outcome.DELIVERED: 100}
    assert len(desk.erp.kept) == len(desk.mail.kept) == 50


def test_destinations_are_served_at_a_time(desk: Desk) -> None:
    """One destination does not wait for another."""
    together = threading.Barrier(2, timeout=10)
    desk.store.letters.add([stored_letter("a", ("erp", "mail"))])

    def meet(_: Parcel) -> None:
        together.wait()

    desk.erp.during = desk.mail.during = meet
    assert desk.deliver() == {Outcome.DELIVERED: 2}


def test_a_slow_destination_leaves_room_for_others(desk: Desk) -> None:
    """However many deliveries wait in a destination that hangs, another destination's are made
    meanwhile."""
    desk.store.letters.add(
        [stored_letter(f"slow{number}", due_at=NOW - timedelta(hours=1)) for number in range(20)]
    )
    desk.store.letters.add([stored_letter("a", ("mail",))])
    mailed, stalled = threading.Event(), threading.Event()

    def hang(_: Parcel) -> None:
        if not mailed.wait(timeout=0.5):
            stalled.set()

    desk.erp.during = hang
    desk.mail.during = lambda _: mailed.set()
    desk.deliver()
    assert not stalled.is_set()


def test_stopping(desk: Desk) -> None:
    """When asked to stop, deliveries under way end and are recorded, and no more are begun; the
    rest stays due."""
    desk.store.letters.add([stored_letter(str(number)) for number in range(30)])
    desk.erp.during = lambda _: desk.stopping.set()
    outcomes = desk.deliver()
    assert 1 <= outcomes[Outcome.DELIVERED] <= CONCURRENCY
    left = desk.store.queries.counts().deliveries
    assert left[DeliveryState.CLAIMED] == 0
    assert left[DeliveryState.PENDING] == 30 - outcomes[Outcome.DELIVERED]
    assert desk.deliver() == {}
    desk.erp.during = nothing_happens
    desk.stopping.clear()
    assert desk.deliver() == {Outcome.DELIVERED: left[DeliveryState.PENDING]}


def test_a_repeat_after_a_crash_is_the_same_parcel(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the process dies after the destination has the parcel and before that is recorded, the
    same parcel comes again, byte for byte."""

    def crash(*_: object, **__: object) -> bool:
        raise StoreError("the disk is gone")

    desk.store.letters.add(
        [stored_letter("a", published_at=NOW, title="Æ", properties={"b": 1, "a": [None, "ø"]})]
    )
    with monkeypatch.context() as broken:
        broken.setattr(desk.store.outbox, "end", crash)
        with pytest.raises(StoreError, match="the disk is gone"):
            desk.deliver()
    assert desk.now_is().state is DeliveryState.CLAIMED
    desk.clock.advance(days=1)
    desk.store.outbox.release_abandoned(desk.clock())
    assert desk.deliver() == {Outcome.DELIVERED: 1}
    first, second = desk.erp.handed
    assert (first.delivery_id, first.generation, first.addressees) == (
        second.delivery_id,
        second.generation,
        second.addressees,
    )
    assert first.document.model_dump_json() == second.document.model_dump_json()
    assert (first.body, [part.sha256 for part in first.parts]) == (
        second.body,
        [part.sha256 for part in second.parts],
    )
    assert len(desk.erp.kept) == 1
    assert [outcome for outcome, _ in desk.outcomes()] == [Outcome.LOST, Outcome.DELIVERED]


def test_the_document_does_not_depend_on_the_attempt(desk: Desk) -> None:
    """However often and whenever a delivery is tried, and whatever asks for it, its document has
    the same bytes."""
    desk.store.letters.add([stored_letter("a")])
    desk.erp.fails = iter([NOT_NOW, NEVER])
    desk.deliver()
    desk.clock.now = desk.now_is().due_at
    desk.deliver()
    desk.store.outbox.retry([desk.now_is().id], desk.clock.advance(days=3))
    desk.deliver()
    assert len(desk.erp.handed) == 3
    assert len({parcel.document.model_dump_json() for parcel in desk.erp.handed}) == 1


def test_a_result_that_comes_too_late(desk: Desk, logged: list[Any]) -> None:
    """If the lease ran out and another has claimed the delivery, the late result is not counted,
    and the log says so."""
    desk.store.letters.add([stored_letter("a")])

    def somebody_else_claims(_: Parcel) -> None:
        desk.store.outbox.claim("other", NOW + timedelta(hours=2), timedelta(hours=1), 1)

    desk.erp.during = somebody_else_claims
    assert desk.deliver() == {}
    assert (desk.now_is().owner, desk.now_is().state) == ("other", DeliveryState.CLAIMED)
    assert [line["outcome"] for line in logged] == ["superseded"]


def test_a_store_that_fails_ends_the_round(desk: Desk) -> None:
    """If outcomes cannot be recorded, dispatch ends with that error, and does not go on
    delivering."""
    desk.store.letters.add([stored_letter(str(number)) for number in range(50)])

    first = threading.Lock()

    def break_it(_: Parcel) -> None:
        if first.acquire(blocking=False):
            with desk.store._database.write() as session:
                session.connection().exec_driver_sql("ALTER TABLE attempts RENAME TO lost")

    desk.erp.during = break_it
    with pytest.raises(StoreError):
        desk.deliver()
    assert len(desk.erp.handed) <= 2 * CONCURRENCY


def test_a_store_that_fails_one_attempt_keeps_the_others(desk: Desk) -> None:
    """If the store fails under one delivery, the round ends with that error, and those that were
    under way are recorded."""
    others = threading.Semaphore(0)

    def during(parcel: Parcel) -> None:
        if parcel.document.source.id != "a":
            others.release()
            return
        for _ in range(3):
            assert others.acquire(timeout=10)
        raise StoreError("the disk is gone")

    desk.store.letters.add([stored_letter(name) for name in ("a", "b", "c", "d")])
    desk.erp.during = during
    with pytest.raises(StoreError, match="the disk is gone"):
        desk.deliver()
    assert [desk.now_is(name).state for name in ("a", "b", "c", "d")] == [DeliveryState.CLAIMED] + [
        DeliveryState.DELIVERED
    ] * 3
