"""The parts put together: one round, and a service that goes on until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from daemon.core.bookkeeping import FULL
from daemon.core.errors import (
    ConfigurationError,
    DiskFull,
    MailboxUnavailable,
    PostmottakError,
    StoreError,
    TemporaryFailure,
)
from daemon.core.model import DeliveryState, Outcome
from daemon.delivery import retry
from daemon.routing.table import Table
from daemon.service import app, stack, supervisor
from daemon.service.app import App
from daemon.service.stack import utc_now
from daemon.service.supervisor import Supervisor
from tests.machine import Machine
from tests.unit.conftest import (
    APPOINTED,
    NOW,
    TABLE,
    TABLE_TEXT,
    TAX,
    MemoryDestination,
    MemoryMailbox,
)
from tests.unit.service.conftest import MAILBOXES, PLACES

AWAY = MailboxUnavailable("Altinn does not answer")
NOT_NOW = TemporaryFailure("nobody is at home")
SOON = 10  # seconds in which a thread must have done what it is waited for


@pytest.fixture
def mailbox(memory_connectors: Path) -> MemoryMailbox:
    """The mailbox of the configuration, with one letter."""
    MAILBOXES["altinn"] = box = MemoryMailbox()
    box.publish("a", b"a file", title="Skatt")
    return box


@pytest.fixture
def places(memory_connectors: Path) -> dict[str, MemoryDestination]:
    """The destinations of the configuration."""
    PLACES.update(erp=MemoryDestination("erp"), mail=MemoryDestination("mail"))
    return PLACES


@pytest.fixture
def parts(mailbox: MemoryMailbox, places: object, configuration_file: Path) -> Iterator[App]:
    """The app, opened."""
    with app.open_app(stack.load(configuration_file)) as parts:
        yield parts


def test_loading_tells_every_fault_of_both_files(
    memory_connectors: Path, configuration_file: Path
) -> None:
    """Faults of the configuration and of the routing table come together, and nothing is made."""
    configuration_file.write_text(
        configuration_file.read_text().replace('poll_every = "1h"', 'poll_every = "often"')
    )
    (configuration_file.parent / "routing.toml").write_text(
        TABLE_TEXT.replace('"erp", "mail"', '"erp", "mial"')
    )
    with pytest.raises(ConfigurationError) as caught:
        stack.load(configuration_file)
    assert [(Path(each.file).name, each.line) for each in caught.value.faults] == [
        ("postmottak.toml", 8),
        ("routing.toml", 4),
    ]
    assert not (configuration_file.parent / "data").exists()


def test_a_routing_table_that_is_missing(memory_connectors: Path, configuration_file: Path) -> None:
    """A routing table that is not where the configuration says is a fault that names the file."""
    (configuration_file.parent / "routing.toml").unlink()
    with pytest.raises(
        ConfigurationError, match=r"routing\.toml: the file cannot be read: no such file"
    ):
        stack.load(configuration_file)


def test_one_round(
    parts: App,
    mailbox: MemoryMailbox,
    places: dict[str, MemoryDestination],
    stopping: threading.Event,
) -> None:
    """One round fetches, routes and delivers everything, and the next one finds nothing to do."""
    summary = parts.poll(stopping)
    assert (summary.total(lambda each: each.stored), summary.outcomes, summary.problems) == (
        1,
        {Outcome.DELIVERED: 2},
        [],
    )
    assert (summary.unfinished, summary.unreachable, summary.marks_failed) == ({}, False, 0)
    assert [len(place.kept) for place in places.values()] == [1, 1]
    assert mailbox.told_read == []
    again = parts.poll(stopping)
    assert (again.total(lambda each: each.fetched), again.outcomes) == (0, {})


def test_a_round_in_which_much_goes_wrong(
    parts: App,
    mailbox: MemoryMailbox,
    places: dict[str, MemoryDestination],
    stopping: threading.Event,
) -> None:
    """What is left undone is told, by state, with the mailboxes' problems."""
    mailbox.publish("b")
    mailbox.fails["fetch", "b"] = repeat(AWAY)
    places["mail"].fails = repeat(NOT_NOW)
    summary = parts.poll(stopping)
    assert summary.outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 1}
    assert summary.unfinished == {DeliveryState.PENDING: 1}
    assert summary.problems == ["letter b: Altinn does not answer"]


def test_a_round_without_a_mailbox(
    parts: App, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """If no mailbox can be reached, that is told, and what is stored is delivered all the same."""
    parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, stopping)
    mailbox.fails["list", "skatt"] = repeat(AWAY)
    summary = parts.poll(stopping)
    assert (summary.unreachable, summary.outcomes) == (True, {Outcome.DELIVERED: 2})


def test_the_policy_of_the_mailbox(
    mailbox: MemoryMailbox, places: object, configuration_file: Path, stopping: threading.Event
) -> None:
    """Senders are told by the policy that stands with their mailbox."""
    configuration_file.write_text(
        configuration_file.read_text().replace(
            'poll_every = "1h"', 'poll_every = "1h"\nmark_read = "delivered"'
        )
    )
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.poll(stopping)
    assert (mailbox.told_read, mailbox.told_confirmed) == (["a"], [])


def test_one_process_for_each_store(parts: App, configuration_file: Path) -> None:
    """While the parts are open nobody else opens them; looking at the database is allowed."""
    with (
        pytest.raises(StoreError, match="another postmottak"),
        app.open_app(stack.load(configuration_file)),
    ):
        pass
    store = stack.open_store(stack.load(configuration_file).configuration)
    assert store.queries.counts().messages == 0
    store.close()


def test_everything_is_let_go(
    mailbox: MemoryMailbox, places: dict[str, MemoryDestination], configuration_file: Path
) -> None:
    """In the end, and after an error, all connections are closed and the store is free."""
    checked = stack.load(configuration_file)
    for _ in range(2):
        with pytest.raises(KeyError), app.open_app(checked):
            raise KeyError
        assert mailbox.closed
        assert all(place.closed for place in places.values())


def test_a_start_that_fails_lets_go_of_the_store(
    mailbox: MemoryMailbox, places: object, configuration_file: Path
) -> None:
    """If the parts cannot be put together, the store is free again for the next try."""
    content = configuration_file.parent / "content"
    content.write_text("")
    checked = stack.load(configuration_file)
    with pytest.raises(StoreError, match="content"), app.open_app(checked):
        pass
    content.unlink()
    with app.open_app(checked):
        pass


def test_a_start_clears_up_after_a_crash(
    mailbox: MemoryMailbox, places: object, configuration_file: Path, stopping: threading.Event
) -> None:
    """Half-written files are removed, what was claimed is due again, and the routing table in force
    is kept."""
    checked = stack.load(configuration_file)
    with app.open_app(checked) as parts:
        parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, stopping)
        parts.store.outbox.claim("gone", parts.clock(), timedelta(hours=1), 2)
        half = configuration_file.parent / "content" / "tmp" / "half"
        half.write_text("ha")
    with app.open_app(checked) as parts:
        assert not half.exists()
        assert parts.store.queries.unfinished() == {DeliveryState.PENDING: 2}
        assert parts.store.queries.table(TABLE.version)
        assert parts.poll(stopping).outcomes == {Outcome.DELIVERED: 2}


def test_the_table_may_change(
    parts: App, mailbox: MemoryMailbox, stopping: threading.Event
) -> None:
    """A table that comes into force while the service runs decides on the next letter."""

    def put_into_force(table: Table) -> None:
        parts.store.letters.note_table(table.version, table.text, parts.clock())
        parts._active.replace(replace(parts._active.snapshot(), table=table))

    parts.poll(stopping)
    put_into_force(APPOINTED)
    mailbox.publish("b")
    parts.poll(stopping)
    versions = {
        message.external_id: decision.routing_version
        for message, decision in parts.store.queries.messages(9)
    }
    assert versions == {"a": TABLE.version, "b": APPOINTED.version}


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
    """A letter that comes later is fetched at the next interval; a round that fails in between is
    no hindrance."""
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
    """While there is no room for new letters the service fetches none, says so, and delivers those
    that it has."""
    parts.intake.poll(mailbox, parts.polled_mailboxes[0].policies, threading.Event())
    mailbox.publish("b", b"large")
    full = threading.Event()

    def no_room(_: object) -> None:
        full.set()
        raise DiskFull("no room")

    monkeypatch.setattr(parts.intake.fetcher.content, "put", no_room)
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
