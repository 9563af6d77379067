"""What systemd hears of the service: real datagrams at a real socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.runtime.systemd import SystemdNotifier
from tests.unit.conftest import ROOT


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A manager that listens, and its address as NOTIFY_SOCKET has it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@postmottak-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(5)
        yield listener, name


def test_every_message(manager: tuple[socket.socket, str]) -> None:
    """Opening, ready, reloading with its time, alive and stopping arrive as sd_notify(3) has them,
    each status as one line."""
    listener, name = manager
    notifier = SystemdNotifier({"NOTIFY_SOCKET": name})
    notifier.opening()
    assert listener.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=3600000000\n")
    notifier.ready("1 mailboxes\nand more")
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()
    messages = [listener.recv(4096).decode().splitlines() for _ in range(4)]
    assert messages[0] == ["READY=1", "STATUS=1 mailboxes and more"]
    assert messages[1][0] == "RELOADING=1"
    assert messages[1][1].removeprefix("MONOTONIC_USEC=").isdecimal()
    assert messages[2] == ["WATCHDOG=1"]
    assert messages[3][0] == "STOPPING=1"


def test_nobody_listens(tmp_path: Path) -> None:
    """Without a manager, or with one that is gone, nothing fails."""
    SystemdNotifier({}).ready("well")
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).watchdog()
    assert list(tmp_path.iterdir()) == []


_WITHOUT_FILES = """\
import resource
from daemon.runtime.systemd import SystemdNotifier
notifier = SystemdNotifier({"NOTIFY_SOCKET": "/run/nobody"})
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
notifier.watchdog()
print("alive")
"""


def test_no_file_to_be_had() -> None:
    """Where not even a socket can be made, a message is lost and nothing else."""
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FILES],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 20),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "nonsense"}, None),
        ({}, None),
    ],
)
def test_watchdog(environment: dict[str, str], seconds: float | None) -> None:
    """Heartbeats are sent three times as often as asked for, and only if they are asked of this
    process."""
    assert SystemdNotifier(environment).watchdog_every == seconds
