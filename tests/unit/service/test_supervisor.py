"""A service that goes on until it is stopped: polls, deliveries, trouble, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.core.bookkeeping import FULL
from daemon.core.errors import DiskFull, PostmottakError, StoreError
from daemon.core.model import DeliveryState
from daemon.delivery import retry
from daemon.service import app, stack, supervisor
from daemon.service.app import App
from daemon.service.stack import utc_now
from daemon.service.supervisor import Supervisor
from tests.machine import Machine
from tests.unit.conftest import NOW, TAX
from tests.unit.memory import MemoryDestination, MemoryMailbox
from tests.unit.service.conftest import AWAY, NOT_NOW

SOON = 10  # seconds in which a thread must have done what it is waited for


class Running:
    """A service in a thread of its own."""

    def __init__(self, parts: App) -> None:
        self.service = Supervisor(parts)
        self.ended: bool | None = None
        self.error: PostmottakError | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ended = self.service.run()
        except PostmottakError as error:
            self.error = error

    def wait(self) -> None:
        """Until the service has ended by itself."""
        self._thread.join(SOON)
        assert not self._thread.is_alive()

    def stop(self) -> bool | None:
        """Stop the service; whether everything had ended."""
        self.service.stop()
        self.service.stop()
        self.wait()
        return self.ended


@pytest.fixture
def start(parts: App) -> Iterator[Callable[[], Running]]:
    """Starts the service, which is stopped in the end."""
    with ExitStack() as stack:

        def start() -> Running:
            running = Running(parts)
            stack.callback(running.stop)
            return running

        yield start


def arrival(place: MemoryDestination, count: int = 1) -> Callable[[], None]:
    """Waits until so many parcels have come since."""
    came = threading.Semaphore(0)
    place.during = lambda _: came.release()

    def wait() -> None:
        assert all(came.acquire(timeout=SOON) for _ in range(count))

    return wait


def test_a_service_delivers_what_comes(
    start: Callable[[], Running], places: dict[str, MemoryDestination]
) -> None:
    """The service polls at once, delivers what came, and ends whole when it is told to."""
    came = arrival(places["erp"])
    running = start()
    came()
    assert running.stop() is True
    assert (running.error, len(places["erp"].kept)) == (None, 1)


def test_a_service_that_is_restarted_every_day_compares(
    mailbox: MemoryMailbox,
    places: dict[str, MemoryDestination],
    configuration_file: Path,
    stopping: threading.Event,
) -> None:
    """What no poll looks at is compared after the start if that was not done for a day, and not
    after each start."""
    configuration_file.write_text(configuration_file.read_text().replace('"1h"', '"1s"'))
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.poll(stopping)
        mailbox.publish("late", requested_at=NOW - timedelta(days=4000))
        came = arrival(places["erp"])
        running = Running(parts)
        came()
        running.stop()
        assert parts.store.letters.stored_in("altinn", TAX) == {"a", "late"}
        assert not parts.is_comparison_due(timedelta(days=1))
        parts.clock = Machine(utc_now() + timedelta(days=1)).clock(None)
        assert parts.is_comparison_due(timedelta(days=1))


def test_to_stop_takes_no_lock(start: Callable[[], Running]) -> None:
    """A signal's handler runs in the thread that it interrupts, so it asks for the end while that
    thread holds what it waits with."""
    running = start()
    asked = threading.Thread(target=running.service.stop, daemon=True)
    # what the interrupted thread may hold
    with running.service._stopping._cond:  # type: ignore[attr-defined]
        asked.start()
        asked.join(SOON)
        assert not asked.is_alive()
    running.wait()
    assert running.ended is True


def test_a_service_polls_again(
    mailbox: MemoryMailbox,
    places: dict[str, MemoryDestination],
    configuration_file: Path,
    logged: list[Any],
) -> None:
    """A letter that comes later is fetched at the next interval; a round that fails in between does
    not prevent it."""
    configuration_file.write_text(configuration_file.read_text().replace('"1h"', '"1s"'))
    mailbox.fails["list", "skatt"] = iter([AWAY])
    came = arrival(places["erp"])
    with app.open_app(stack.load(configuration_file)) as parts:
        running = Running(parts)
        came()
        assert running.stop() is True
    assert len(mailbox.asked("list")) >= 2


def test_a_service_tries_again_by_itself(
    start: Callable[[], Running],
    places: dict[str, MemoryDestination],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deferred delivery is made when its time has come, without a poll."""
    monkeypatch.setattr(retry, "FLOOR", timedelta(milliseconds=10))
    monkeypatch.setattr(retry, "CEILING", timedelta(milliseconds=10))
    places["erp"].fails = iter([NOT_NOW, NOT_NOW])
    came = arrival(places["erp"], 3)
    running = start()
    came()
    assert running.stop() is True
    assert len(places["erp"].kept) == 1


def hanging(place: MemoryDestination) -> tuple[threading.Event, threading.Event]:
    """The destination hangs from the first event on until the second."""
    begun, go_on = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        begun.set()
        go_on.wait(SOON)

    place.during = hang
    return begun, go_on


def test_a_service_ends_work_in_flight(
    start: Callable[[], Running], places: dict[str, MemoryDestination], parts: App
) -> None:
    """A delivery under way when the service is stopped is ended and recorded."""
    begun, go_on = hanging(places["erp"])
    running = start()
    assert begun.wait(SOON)
    running.service.stop()
    go_on.set()
    assert running.stop() is True
    assert parts.store.queries.unfinished().get(DeliveryState.CLAIMED) is None


def test_a_service_does_not_wait_for_ever(
    start: Callable[[], Running],
    places: dict[str, MemoryDestination],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work that hangs is left after a while, and the service says so; it is repeated at the next
    start."""
    monkeypatch.setattr(supervisor, "_GRACE", 0.1)
    begun, go_on = hanging(places["erp"])
    running = start()
    assert begun.wait(SOON)
    try:
        assert running.stop() is False
    finally:
        go_on.set()
        for thread in threading.enumerate():
            if thread.name == "outbox":
                thread.join(SOON)


@pytest.mark.parametrize(
    "error", [StoreError("the disk is gone"), KeyError("x")], ids=["store", "fault"]
)
@pytest.mark.parametrize("part", ["poll", "outbox"])
def test_a_service_that_cannot_go_on_ends(
    start: Callable[[], Running],
    parts: App,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    part: str,
) -> None:
    """If the store fails, or a thread does for whatever reason, the service ends and says why, and
    does not run on half."""

    def fail(*_: object, **__: object) -> None:
        raise error

    if part == "poll":
        monkeypatch.setattr(parts.store.bookmarks, "of_channels", fail)
    else:
        monkeypatch.setattr(parts.store.outbox, "claim", fail)
    running = start()
    running.wait()
    assert isinstance(running.error, PostmottakError)
    assert (
        str(error) == str(running.error)
        if isinstance(error, StoreError)
        else "KeyError; see the log" in str(running.error)
    )


def test_a_full_disk_stops_fetching_only(
    start: Callable[[], Running],
    parts: App,
    places: dict[str, MemoryDestination],
    mailbox: MemoryMailbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the disk has no room for new letters the service fetches none, and delivers those that
    it has."""
    parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, threading.Event())
    mailbox.publish("b", b"large")
    full = threading.Event()

    def no_room(_: object) -> None:
        full.set()
        raise DiskFull("no room")

    monkeypatch.setattr(parts.intake.fetcher.content, "stage", no_room)
    came = arrival(places["erp"])
    running = start()
    came()
    assert full.wait(SOON)
    assert running.stop() is True
    assert running.error is None
    assert [each.about for each in parts.problems.all() if each.kind == FULL] == ["fetched"]


def test_a_full_disk_does_not_end_the_service(
    start: Callable[[], Running], parts: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While outcomes cannot be kept the service delivers nothing, goes on, and can be stopped as
    usual."""
    full = threading.Event()

    def no_room(*_: object, **__: object) -> None:
        full.set()
        raise DiskFull("no room")

    monkeypatch.setattr(parts.store.outbox, "claim", no_room)
    running = start()
    assert full.wait(SOON)
    assert running.stop() is True
    assert running.error is None
    assert [each.about for each in parts.problems.all() if each.kind == FULL] == ["delivered"]
