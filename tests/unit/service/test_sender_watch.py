"""The service looks at senders where housekeeping runs, and no mailbox waits for it."""

from __future__ import annotations

import threading
import time

import pytest

from daemon.core.coverage import WHOLE_STORE
from daemon.maintenance.housekeeping import HOUSEKEEPING
from daemon.runtime.schedule import WakeEvent
from daemon.service.app import App
from daemon.service.housekeeping_loop import run_housekeeping
from daemon.service.room import Room
from daemon.store.senders import Senders


def test_the_service_looks_beside_housekeeping(parts: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after the start, with heartbeats of that thread; refreshing a mailbox reads no letter of
    a sender."""
    read, waits = Senders.read, list[bool]()
    threads = list[str]()
    monkeypatch.setattr(parts.heartbeats, "beat", lambda _, *seconds: waits.append(bool(seconds)))

    def reading(self: Senders, *arguments: object) -> object:
        threads.append(threading.current_thread().name)
        waits.clear()
        return read(self, *arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Senders, "read", reading)
    parts.resources.refresh("altinn")
    assert threads == []
    stopping, wake = threading.Event(), WakeEvent()
    arguments = (parts, Room(parts.problems), wake, stopping)
    thread = threading.Thread(target=run_housekeeping, args=arguments, name=HOUSEKEEPING)
    thread.start()
    ends = time.monotonic() + 20
    while not parts.store.coverage.look(WHOLE_STORE) and time.monotonic() < ends:
        time.sleep(0.02)
    stopping.set()
    wake.wake_up()
    thread.join(20)
    assert parts.store.coverage.look(WHOLE_STORE)
    assert threads == [HOUSEKEEPING]
    assert False in waits, "a heartbeat that is of no wait, after the letters were begun"
