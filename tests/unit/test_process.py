"""How the process treats the machine."""

from __future__ import annotations

import subprocess
import sys

_THREADS_AND_CORES = """\
import os, threading
from daemon.process import keep_to_one_core
keep_to_one_core()
keep_to_one_core()
cores = [os.sched_getaffinity(0)]
thread = threading.Thread(target=lambda: cores.append(os.sched_getaffinity(0)))
thread.start()
thread.join()
print(len(cores), len(set.union(*cores)))
"""


def test_all_threads_keep_to_one_core() -> None:
    """A thread that is started later has the one core that the first one has; to ask for it twice is harmless."""
    ended = subprocess.run([sys.executable, "-c", _THREADS_AND_CORES], check=True, capture_output=True, text=True)  # our own words
    assert ended.stdout.split() == ["2", "1"]
