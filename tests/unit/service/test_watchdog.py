"""The watchdog: whichever thread hangs, the service sends no heartbeat, says which thread it is,
and goes on when that does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from daemon.delivery import pickup
from daemon.runtime.heartbeat import HEARTBEAT_INTERVAL, LOOP_TIMEOUT
from daemon.runtime.systemd import SystemdNotifier
from daemon.service import app, stack
from daemon.service.app import App
from daemon.service.supervisor import Supervisor
from daemon.web import server

SOON = 10  # seconds in which something must happen that is waited for


def certain_of_time(parts: App) -> App:
    """The same, on a machine whose clock has been right for a while, so that housekeeping may
    delete by it."""
    parts.clock._line_since -= 3600
    return parts


HANGS: dict[str, Callable[[App], tuple[Any, str]]] = {
    "pickups": lambda parts: (parts.store.outbox, "awaiting_pickup"),
    "alerts": lambda parts: (parts.store.alerts, "note"),
    "housekeeping": lambda parts: (certain_of_time(parts).store.retention, "tables_with_rules"),
    "[monitoring]": lambda _: (uvicorn.Server, "on_tick"),
}
"""What of each thread's work is made to hang."""


class Hang:
    """In the place of a call: waits until it may go on, and then does what the call does."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._call = call

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.begun.set()
        assert self.go_on.wait(SOON)
        return self._call(*arguments, **named)

    def __get__(self, place: object, _kind: type) -> Callable[..., Any]:
        return partial(self, place)


class Time:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_for(listener: socket.socket, message: str) -> None:
    """Until systemd is told this."""
    while listener.recv(4096).decode() != message:
        pass


@pytest.mark.parametrize("name", HANGS)
def test_a_thread_that_hangs(
    memory_connectors: Path, configuration_file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each of the threads that wait for others or for time is missed when it hangs, alone, and
    welcome when it goes on."""
    monkeypatch.setattr(pickup, "_KEEP", 0.1)  # a thread that rests shortly reports soon
    monkeypatch.setattr(server, "HEARTBEAT_INTERVAL", 0.1)
    folder, time = configuration_file.parent, Time()
    configuration_file.write_text(
        configuration_file.read_text() + '[monitoring]\nlisten = "unix:monitor.sock"\n'
    )
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
        app.open_app(stack.load(configuration_file)) as parts,
    ):
        listener.bind(str(folder / "notify"))
        listener.settimeout(SOON)
        monkeypatch.setattr(parts.heartbeats, "_clock", time)
        place, call = HANGS[name](parts)
        hang = Hang(getattr(place, call))
        monkeypatch.setattr(place, call, hang)
        service = Supervisor(
            parts,
            SystemdNotifier({"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "150000"}),
        )
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            assert hang.begun.wait(SOON)
            wait_for(listener, "WATCHDOG=1")
            time.now += LOOP_TIMEOUT + HEARTBEAT_INTERVAL + 1
            wait_for(listener, f"STATUS=hangs: {name}")
            hang.go_on.set()
            wait_for(listener, "WATCHDOG=1")
        finally:
            hang.go_on.set()
            service.stop()
            thread.join(SOON)
    assert not thread.is_alive()
