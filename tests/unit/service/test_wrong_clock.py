"""The service on a machine whose clock is wrong: no letter is given up, deleted or left waiting for
it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

import pytest
from sqlmodel import select

from daemon.core.bookkeeping import CLOCK, Bookmark
from daemon.core.circuit_breaker import LONGEST_PAUSE
from daemon.core.errors import PermanentFailure, TemporaryFailure
from daemon.core.model import Delivery, DeliveryState, MarkKind, MarkState, Policy
from daemon.core.ports import Parcel
from daemon.delivery import retry
from daemon.delivery.dispatch import _LEASE
from daemon.runtime.clock import STABLE
from daemon.service import app, stack
from daemon.service.app import App
from daemon.store import Store
from tests.machine import Machine
from tests.unit.conftest import (
    NOW,
    MemoryDestination,
    MemoryMailbox,
    newest_messages,
    stored_letter,
)
from tests.unit.service.conftest import MAILBOXES, PLACES, Command

YEAR = timedelta(days=365)
DAY = timedelta(days=1)
SOON = 75.0
"""Seconds after which all goes on by itself, once the clock is right."""
NOT_NOW = TemporaryFailure("nobody is at home")
Start = Callable[[], AbstractContextManager[App]]


@pytest.fixture
def machine() -> Machine:
    """A machine whose clock is right."""
    return Machine(NOW)


class Timely(MemoryMailbox):
    """A mailbox whose other side has a clock, which is right."""

    machine: Machine

    def source_time(self) -> object:
        """What it said last."""
        return self.machine.heard

    def _called(self, verb: str, what: str) -> None:
        super()._called(verb, what)
        self.machine.ask()


@pytest.fixture
def places(memory_connectors: Path) -> dict[str, MemoryDestination]:
    """The destinations of the configuration."""
    PLACES.update(erp=MemoryDestination("erp"), mail=MemoryDestination("mail"))
    return PLACES


@pytest.fixture
def start(
    memory_connectors: Path, configuration_file: Path, places: object, machine: Machine
) -> Start:
    """Starts the service's parts on the machine."""
    return lambda: app.open_app(stack.load(configuration_file), machine.new_clock)


@pytest.fixture(params=["source", "alone"])
def box(request: pytest.FixtureRequest, memory_connectors: Path, machine: Machine) -> MemoryMailbox:
    """A mailbox, with a clock of its own or without; it has a letter."""
    kind = {"source": Timely, "alone": MemoryMailbox}[request.param]
    MAILBOXES["altinn"] = box = kind()
    if isinstance(box, Timely):
        box.machine = machine
    box.publish("before", b"pdf", title="Skatt")
    return box


def works(
    parts: App,
    machine: Machine,
    seconds: float,
    stopping: threading.Event,
    *,
    polls: bool = True,
    step: float = 60,
) -> None:
    """The service works for so long: looks at its outbox when something is due, and once a minute
    at least, and polls every five."""
    ends = machine.truth + timedelta(seconds=seconds)
    polled = machine.truth
    if polls:
        parts.intake.poll(
            parts.polled_mailboxes[0].mailbox, parts.polled_mailboxes[0].policies, stopping
        )
    while machine.truth < ends:
        parts.deliver_due(stopping)
        due = parts.next_due()
        wait = (due - parts.clock()).total_seconds() if due else step
        machine.truth = min(ends, machine.truth + timedelta(seconds=min(max(wait, 1), step)))
        if polls and machine.truth - polled >= timedelta(minutes=5):
            polled = machine.truth
            parts.intake.poll(
                parts.polled_mailboxes[0].mailbox, parts.polled_mailboxes[0].policies, stopping
            )
    parts.deliver_due(stopping)


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
        assert len(parts.store.outbox.claim("gone", late, _LEASE, 1)) == 1
        (mark,) = parts.store.marks.due("altinn", late, 9)[0][:1]
        parts.store.marks.deferred(mark, "refused", late)
    with start() as parts:
        works(parts, machine, SOON, stopping, polls=False)
        assert parts.store.queries.unfinished() == {}
        assert {each.state for each in parts.store.queries.marks(mark.message_id)} == {
            MarkState.DONE
        }


def keep(configuration_file: Path, days: int) -> None:
    """Let retention keep everything for so long."""
    rules = "".join(f'{part} = "{days}d"\n' for part in ("body", "attachments", "metadata"))
    text = configuration_file.read_text().replace("[routing]", f"[retention]\n{rules}\n[routing]")
    configuration_file.write_text(text)


def run_housekeeping(
    parts: App, machine: Machine, seconds: float, stopping: threading.Event
) -> bool:
    """Let housekeeping try for so long; whether it was done."""
    ends, done = machine.truth + timedelta(seconds=seconds), False
    while machine.truth <= ends:
        done = parts.run_housekeeping(stopping)
        machine.truth += timedelta(seconds=60)
    return done


def test_a_start_400_days_ahead_deletes_nothing(
    start: Start,
    box: MemoryMailbox,
    configuration_file: Path,
    machine: Machine,
    stopping: threading.Event,
) -> None:
    """With retention of a year nothing goes in a start 400 days ahead, nor in the next one; it is
    said, and known to the next process."""
    keep(configuration_file, 365)
    with start() as parts:
        works(parts, machine, 60, stopping)
    booted = machine.booted
    for _ in range(3):
        machine.ahead = timedelta(days=400)
        with start() as parts:
            assert run_housekeeping(parts, machine, 2 * STABLE, stopping) is False
            parts.alerter(list).look()
            assert CLOCK in [each.kind for each in parts.store.alerts.all() if not each.ended_at]
            works(parts, machine, 60, stopping)
            assert parts.store.queries.counts().messages == 1
    machine.ahead = timedelta()
    machine.booted = booted
    with start() as parts:
        works(parts, machine, 60, stopping)
        works(parts, machine, STABLE + 60, stopping)
        run_housekeeping(parts, machine, 30, stopping)
        assert parts.store.queries.counts().messages == 1
        assert parts.clock() == machine.wall()


def test_a_year_goes_by(
    start: Start,
    box: MemoryMailbox,
    configuration_file: Path,
    machine: Machine,
    stopping: threading.Event,
) -> None:
    """When a service that works has kept a letter for a year it is deleted by itself, with a source
    and without one."""
    keep(configuration_file, 365)
    with start() as parts:
        works(parts, machine, 60, stopping)
    for _ in range(19):
        machine.truth += timedelta(days=20)
        with start() as parts:
            works(parts, machine, 60, stopping)
    with start() as parts:
        works(parts, machine, 60, stopping)
        assert run_housekeeping(parts, machine, STABLE + 60, stopping)
        assert parts.store.queries.counts().messages == 0


def test_an_operator_says_that_the_clock_is_right(
    command: Command,
    start: Start,
    configuration_file: Path,
    machine: Machine,
    stopping: threading.Event,
) -> None:
    """`retention run` refuses to delete by a clock that nobody confirms, says what to do, and does
    it when told that the clock is right."""
    keep(configuration_file, 100)
    MAILBOXES["altinn"] = MemoryMailbox()
    MAILBOXES["altinn"].publish("before", b"pdf")
    machine.truth = datetime.now(UTC) - timedelta(days=200)
    with start() as parts:
        works(parts, machine, 60, stopping)
    refused = command("retention", "run")
    assert refused.code != 0
    assert "--trust-clock" in refused.err
    assert "nothing was deleted" in refused.err
    machine.truth += timedelta(days=200)
    with start() as parts:
        works(parts, machine, 60, stopping)
        parts.alerter(list).look()
    assert command("retention", "run").code == refused.code, "a new record made nobody confirm it"
    assert command("status", "--monitor").code == 2
    assert "clock" in command("status", "--monitor").out
    assert command("retention", "run", "--trust-clock").code == 0
    assert command("status", "--monitor").out.count("clock") == 0
    with start() as parts:
        works(parts, machine, STABLE + 30, stopping)
        assert (parts.clock.settled, parts.store.queries.counts().messages) == (True, 0)


def test_files_of_letters_that_are_being_fetched_stay(
    start: Start, machine: Machine, stopping: threading.Event
) -> None:
    """Bytes that were written while the machine's clock was behind look old; they stay for as long
    as their letter may still come."""
    MAILBOXES["altinn"] = MemoryMailbox()
    with start() as parts:
        works(parts, machine, STABLE, stopping)
        kept = parts.content.put([b"of a letter that is not stored yet"])
        path = parts.content.path(kept.sha256)
        old = (machine.truth - YEAR).timestamp()
        os.utime(path, (old, old))
        machine.ahead = -YEAR
        assert parts.run_housekeeping(stopping) is False
        machine.ahead = timedelta()
        assert parts.run_housekeeping(stopping) is True
        assert path.exists()
        machine.truth += 2 * DAY
        assert parts.run_housekeeping(stopping) is True
        assert not path.exists()


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
    """Letters that wait are not decided anew for a day that is not."""
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
