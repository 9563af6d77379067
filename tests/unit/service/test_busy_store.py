"""A store that another program holds, and the service: it waits, sends heartbeats, ends when it is
asked to, and loses nothing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from daemon.core.model import DeliveryState
from daemon.runtime.heartbeat import Heartbeats
from daemon.service import app, stack
from daemon.service.supervisor import Supervisor
from daemon.store import Store
from tests.unit.service.conftest import MAILBOXES
from tests.unit.test_busy import STEP, held

SOON = 20  # seconds in which something must happen that is waited for


class Time:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_is_no_hang() -> None:
    """Time that was spent waiting for the store counts against nobody, once, also when several
    waited; a hang is seen afterwards."""
    time = Time()
    heartbeats = Heartbeats(time)
    heartbeats.beat("outbox", 10)
    for _ in range(50):
        time.now += 5
        heartbeats.excuse(5)
        heartbeats.excuse(5)
    assert heartbeats.stalled() == []
    time.now += 11
    assert heartbeats.stalled() == ["outbox"]


@pytest.mark.parametrize("lock", ["writer", "reader", "alone"])
def test_the_service_waits_for_a_busy_store(
    memory_connectors: Path, configuration_file: Path, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    """A letter that comes while another program holds the database is stored and delivered when
    that is done; the service does not end."""
    database = configuration_file.parent / "data" / "postmottak.db"
    configuration_file.write_text(configuration_file.read_text().replace('"1h"', '"1s"'))
    with app.open_app(stack.load(configuration_file)) as parts:
        parts.store._database.busy_wait.step = STEP
        service = Supervisor(parts)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            with held(database, lock):
                MAILBOXES["altinn"].publish("a")
                waited = _note_waits(parts, monkeypatch)
                assert waited.wait(SOON)
                assert thread.is_alive()
            assert _delivered(parts.store, threading.Event())
        finally:
            service.stop()
            thread.join(SOON)
    assert not thread.is_alive()
    assert parts.heartbeats.stalled() == []


def _note_waits(parts: app.App, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when somebody has waited for the store."""
    waited, excuse = threading.Event(), parts.heartbeats.excuse

    def note(seconds: float) -> None:
        excuse(seconds)
        waited.set()

    monkeypatch.setattr(parts.heartbeats, "excuse", note)
    return waited


def _delivered(store: Store, never: threading.Event) -> bool:
    for _ in range(10 * SOON):
        if store.queries.counts().deliveries[DeliveryState.DELIVERED]:
            return True
        never.wait(0.1)
    return False


def test_a_stop_while_the_store_is_busy(
    memory_connectors: Path, configuration_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service ends when it is told to, in good order and without blame, though another program
    holds the database to the end."""
    monkeypatch.setattr("daemon.store.busy._GRACE", STEP)
    database = configuration_file.parent / "data" / "postmottak.db"
    configuration_file.write_text(configuration_file.read_text().replace('"1h"', '"1s"'))
    ends: list[bool] = []
    with app.open_app(stack.load(configuration_file)) as parts:
        service = Supervisor(parts)
        waited = _note_waits(parts, monkeypatch)
        thread = threading.Thread(target=lambda: ends.append(service.run()))
        with held(database, "alone"):
            thread.start()
            MAILBOXES["altinn"].publish("a")
            assert waited.wait(SOON)
            service.stop()
            thread.join(SOON)
            assert not thread.is_alive()
    assert len(ends) == 1
