"""What the bench's servers on loopback need: a free port, patience, and folders that they may read.

They are started as nobody if we are root.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PATIENCE = 20.0
_PORTS = range(10_000, 32_768)
_given: set[int] = set()
USER, GROUP = ("nobody", "nogroup") if os.geteuid() == 0 else (None, None)
"""As whom to run them; None for as ourselves."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on; another one each time.

    The system gives none of these to whoever asks for any port (ip(7), ip_local_port_range), so no
    other process has it by the time that it is used.
    """
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def wait_for_port(port: int, name: str) -> None:
    """Wait until something listens on the port. Raises TimeoutError, which names it."""
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{name} does not listen on port {port}")


def open_to_all(folder: Path) -> None:
    """Let every user read the folder, and pass through those above it in the temporary folder."""
    within = [each for each in folder.parents if each.is_relative_to(tempfile.gettempdir())]
    for each in [folder, *within[:-1]]:
        each.chmod(each.stat().st_mode | 0o055)
