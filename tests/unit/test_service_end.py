"""How the service's process ends when something fails while a thread hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SCRIPT = """
import threading
from daemon.cli.service import ends_in_time
from daemon.core.errors import StoreError
from daemon.runtime.thread_pool import ThreadPool

with ends_in_time():
    if {hangs}:
        ThreadPool(1).submit(threading.Event().wait)
    raise StoreError("the disk is broken")
"""


def ended(*, hangs: bool) -> subprocess.CompletedProcess[str]:
    """A process with that failure."""
    return subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(hangs=hangs)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_failure_while_a_thread_hangs() -> None:
    """The process ends with exit code 4 and says why, though a delivery hangs at a dead share."""
    found = ended(hangs=True)
    assert (found.returncode, found.stderr) == (4, "the disk is broken\n")


def test_a_failure_without_a_thread_that_hangs() -> None:
    """The command line says it, as ever."""
    assert "StoreError: the disk is broken" in ended(hangs=False).stderr
