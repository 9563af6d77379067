"""The service on a machine whose clock is wrong: no letter is given up, deleted or left waiting for
it."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import repeat
from pathlib import Path

import pytest
from sqlmodel import select

from daemon.core.bookkeeping import Bookmark
from daemon.core.circuit_breaker import LONGEST_PAUSE
from daemon.core.errors import PermanentFailure
from daemon.core.model import Delivery, DeliveryState, MarkKind, MarkState, Policy
from daemon.core.ports import Parcel
from daemon.delivery import retry
from daemon.delivery.local import LEASE
from daemon.service.app import App
from daemon.store import Store
from tests.machine import Machine
from tests.unit.conftest import newest_messages, stored_letter
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import MAILBOXES, NOT_NOW
from tests.unit.service.wrong_clocks import (
    DAY,
    YEAR,
    Start,
    Timely,
    new_box,  # noqa: F401  # a fixture
    new_machine,  # noqa: F401  # a fixture
    new_start,  # noqa: F401  # a fixture
    works,
)

SOON = 75.0
"""Seconds after which all goes on by itself, once the clock is right."""


def deliveries(parts: App) -> list[Delivery]:
    """Every delivery."""
    with parts.store._database.read() as session:
        return list(session.exec(select(Delivery)))


@pytest.mark.parametrize("jump", [YEAR, -YEAR, timedelta(days=4)], ids=str)
@pytest.mark.parametrize("lasts", [5, 700])
def test_a_jump_while_a_webhook_is_down(
    start: Start,
    box: MemoryMailbox,
    places: dict[str, MemoryDestination],
    machine: Machine,
    stopping: threading.Event,
    jump: timedelta,
    lasts: int,
) -> None:
    """Nothing is given up while the clock is wrong, and 75 seconds after it is right all goes on;
    nothing waits longer than usual."""
    places["erp"].fails = repeat(NOT_NOW)
    with start() as parts:
        works(parts, machine, 360, stopping)
        machine.ahead = jump
        works(parts, machine, 1, stopping)
        box.publish("meanwhile", b"pdf", title="Skatt")
        works(parts, machine, lasts, stopping)
        machine.ahead = timedelta()
        box.publish("after", b"pdf", title="Skatt")
        works(parts, machine, SOON, stopping)
        assert parts.store.queries.unfinished() == {DeliveryState.PENDING: 3}
        assert len(places["mail"].kept) == 3
        latest = parts.clock() + retry.LONGEST
        assert all(each.due_at <= latest for each in deliveries(parts))
        places["erp"].fails = iter(())
        works(
            parts, machine, (retry.LONGEST + 2 * LONGEST_PAUSE).total_seconds(), stopping, step=600
        )
        assert parts.store.queries.unfinished() == {}
        letters = [message for message, _ in newest_messages(parts.store, 9)]
        assert len(letters) == 3
        assert all(abs(each.fetched_at - machine.truth) < DAY for each in letters)


@pytest.mark.parametrize("jump", [YEAR, timedelta(days=400), timedelta(days=-9000)], ids=str)
def test_a_start_with_a_wrong_clock(
    start: Start,
    box: MemoryMailbox,
    places: dict[str, MemoryDestination],
    machine: Machine,
    stopping: threading.Event,
    jump: timedelta,
) -> None:
    """What was fetched and deferred with the wrong time goes on 75 seconds after that is right, and
    is dated rightly."""
    with start() as parts:
        works(parts, machine, 60, stopping)
    machine.truth += DAY
    machine.ahead = jump
    box.publish("meanwhile", b"pdf", title="Skatt")
    places["erp"].fails = places["mail"].fails = repeat(NOT_NOW)
    with start() as parts:
        works(parts, machine, 30, stopping)
        assert parts.store.queries.unfinished() == {DeliveryState.PENDING: 2}
        places["erp"].fails = places["mail"].fails = iter(())
        machine.ahead = timedelta()
        works(parts, machine, SOON, stopping, polls=isinstance(box, Timely))
        assert parts.store.queries.unfinished() == {}
        (letter,) = [
            message
            for message, _ in newest_messages(parts.store, 9)
            if message.external_id == "meanwhile"
        ]
        assert abs(letter.fetched_at - machine.truth) < timedelta(hours=1)
        assert parts.clock() == machine.wall()


def test_a_killed_service_whose_clock_was_wrong(
    start: Start, places: dict[str, MemoryDestination], machine: Machine, stopping: threading.Event
) -> None:
    """Due times, leases and marks that an earlier process left a year ahead are pulled back at the
    start."""
    with start() as parts:
        late = parts.clock() + YEAR
        parts.content.put([b"pdf"])
        parts.store.letters.add(
            [stored_letter("a", ("erp",), {MarkKind.READ: Policy.STORED}, due_at=late)]
        )
        parts.store.letters.add([stored_letter("b", ("erp",), due_at=parts.clock())])
        assert len(parts.store.outbox.claim("gone", late, LEASE, 1)) == 1
        (mark,) = parts.store.marks.due("altinn", late, 9)[0][:1]
        parts.store.marks.deferred(mark, "refused", late)
    with start() as parts:
        works(parts, machine, SOON, stopping, polls=False)
        assert parts.store.queries.unfinished() == {}
        assert {each.state for each in parts.store.queries.marks(mark.message_id)} == {
            MarkState.DONE
        }


def test_a_letter_under_way_is_not_sent_twice(
    start: Start, places: dict[str, MemoryDestination], machine: Machine, stopping: threading.Event
) -> None:
    """When the time moves on by years under a slow attempt, its lease moves too, and nobody claims
    the letter a second time."""
    MAILBOXES["altinn"] = box = Timely()
    box.machine = machine
    box.publish("a", b"pdf")
    machine.ahead = timedelta(days=-9000)
    under_way, go_on = threading.Event(), threading.Event()

    def slowly(_: Parcel) -> None:
        under_way.set()
        go_on.wait(5)

    places["erp"].during = slowly
    with start() as parts:
        parts.intake.poll(
            parts.polled_mailboxes[0].mailbox, parts.polled_mailboxes[0].policies, stopping
        )
        machine.heard = None
        machine.booted -= timedelta(hours=20)  # the machine sleeps, and its clock is set meanwhile
        worker = threading.Thread(target=parts.deliver_due, args=(stopping,))
        worker.start()
        assert under_way.wait(5)
        machine.truth += timedelta(hours=20)
        machine.ahead = timedelta()
        machine.ask()
        threading.Event().wait(0.5)  # several looks of the round
        go_on.set()
        worker.join(10)
        assert not worker.is_alive()
        parts.deliver_due(stopping)
        assert parts.store.queries.unfinished() == {}
    assert len(places["erp"].handed) == 1


def test_a_receiver_that_refuses_the_wrong_time(
    start: Start, places: dict[str, MemoryDestination], machine: Machine, stopping: threading.Event
) -> None:
    """What a receiver refuses for good while the clock is wrong is tried again, for the time may be
    why; and given up when it is right."""
    MAILBOXES["altinn"] = MemoryMailbox()
    MAILBOXES["altinn"].publish("a", b"pdf")
    places["erp"].fails = repeat(PermanentFailure("a signature of another year"))
    with start() as parts:
        works(parts, machine, 1, stopping, polls=False)
        machine.ahead = YEAR
        works(parts, machine, 300, stopping)
        assert parts.store.queries.unfinished() == {DeliveryState.PENDING: 1}
        machine.ahead = timedelta()
        works(parts, machine, 4000, stopping)
        assert parts.store.queries.unfinished() == {DeliveryState.DEAD: 1}


def test_covers_do_not_follow_a_wrong_day(
    start: Start, box: MemoryMailbox, machine: Machine, stopping: threading.Event
) -> None:
    """Letters that wait are not decided again for a wrong day."""
    with start() as parts:
        works(parts, machine, 60, stopping)
        followed = parts._covers.followed
        machine.ahead = YEAR
        works(parts, machine, 60, stopping)
        assert parts._covers.followed == followed


def test_the_first_look_of_a_clock_that_is_ahead(
    start: Start, configuration_file: Path, machine: Machine, stopping: threading.Event
) -> None:
    """A mailbox that is first read by a clock a year ahead is read again from where the other
    side's clock says, and is marked so."""
    MAILBOXES["altinn"] = box = Timely()
    box.machine = machine
    box.earliest = lambda _channel, position, now: position or now - 30 * DAY  # type: ignore[assignment,method-assign]
    box.publish("a", b"pdf", requested_at=machine.truth - DAY, published_at=machine.truth - DAY)
    machine.ahead = YEAR
    with start() as parts:
        works(parts, machine, 1, stopping)
        assert parts.store.queries.counts().messages == 1
        assert bookmark(parts.store).begins_at is not None
        assert (
            abs((bookmark(parts.store).begins_at or machine.truth) - (machine.truth - 30 * DAY))
            < DAY
        )


def bookmark(store: Store) -> Bookmark:
    """How far the only mailbox was read."""
    (found,) = store.queries.bookmarks()
    return found
