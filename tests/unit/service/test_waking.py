"""A command beside a running service: what it asks for begins at once, not within a minute."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.errors import TemporaryFailure
from daemon.core.model import DeliveryState
from daemon.delivery import retry
from daemon.service.app import App
from daemon.service.supervisor import Supervisor
from tests.unit.memory import MemoryDestination
from tests.unit.service.conftest import Command

SOON = 2.0  # seconds


@pytest.fixture
def running(parts: App, tmp_path: Path) -> Iterator[App]:
    """A running service, whose folder for signs is there."""
    service = Supervisor(parts)
    thread = threading.Thread(target=service.run)
    thread.start()
    folder = tmp_path / "data" / "postmottak.db.wake"
    until(folder.is_dir)
    yield parts
    service.stop()
    thread.join(20)
    assert not thread.is_alive()


def until(what: object, seconds: float = 30.0) -> None:
    """Wait for it."""
    assert callable(what)
    for _ in range(int(seconds / 0.02)):
        if what():
            return
        threading.Event().wait(0.02)
    raise AssertionError(what)


@pytest.mark.parametrize("failures", [1, 5])
def test_a_retry_begins_at_once(
    running: App,
    places: dict[str, MemoryDestination],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
) -> None:
    """`deliveries retry` is carried out within two seconds, also at a destination that is paused
    because it failed again and again."""
    monkeypatch.setattr(retry, "FLOOR", timedelta(hours=1))
    monkeypatch.setattr(retry, "CEILING", timedelta(hours=1))
    erp = places["erp"]
    queue = running._dispatch.queues["erp"]
    erp.fails = iter([TemporaryFailure("nobody is at home")])
    queue.breaker.failures = failures - 1
    until(lambda: running.attempts() and queue.breaker.failures == failures)
    (delivery,) = running.store.search.deliveries(
        state=DeliveryState.PENDING, destination="erp", limit=9
    )
    came = threading.Event()
    erp.during = lambda _: came.set()
    assert command("deliveries", "retry", str(delivery.id)).code == 0
    assert came.wait(SOON)


def test_a_letter_routed_by_hand_goes_at_once(
    running: App, places: dict[str, MemoryDestination], command: Command
) -> None:
    """`messages route` and `deliveries resend` deliver within two seconds."""
    until(lambda: places["erp"].kept)
    until(lambda: not running.store.queries.unfinished())
    (delivery,) = running.store.search.deliveries(state=None, destination="erp", limit=9)
    for arguments in (
        ("deliveries", "resend", str(delivery.id), "--yes"),
        ("messages", "route", str(delivery.message_id)),
    ):
        came = threading.Event()
        places["erp"].during = lambda _, came=came: came.set()  # type: ignore[misc]
        ended = command(*arguments)
        assert ended.code == 0
        assert came.wait(SOON), (arguments, ended)
        until(lambda: not running.store.queries.unfinished())
