"""What the bench's servers on loopback need: a free port, patience, and folders that they may read.

They are started as nobody if we are root.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PATIENCE = 20.0
USER, GROUP = ("nobody", "nogroup") if os.geteuid() == 0 else (None, None)
"""As whom to run them; None for as ourselves."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


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
