"""How the process treats the machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

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

_NUMBERS = {"x86_64": 203, "aarch64": 122}
"""Of sched_setaffinity, in the kernel's unistd.h."""
_UNDER_A_FILTER = """\
import ctypes, os, struct, sys
from daemon.process import keep_to_one_core
LOAD, IF_EQUAL, END, KILL, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
words = [(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, int(sys.argv[1])), (END, 0, 0, KILL), (END, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
sized = ctypes.create_string_buffer(struct.pack("HP", len(words), ctypes.addressof(program)))
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
assert prctl(SECCOMP, FILTER, sized, 0, 0) == 0, ctypes.get_errno()
before = os.sched_getaffinity(0)
keep_to_one_core()
print(os.sched_getaffinity(0) == before)
"""


def test_all_threads_keep_to_one_core() -> None:
    """A thread that is started later has the one core that the first one has; to ask for it twice is harmless."""
    ended = subprocess.run([sys.executable, "-c", _THREADS_AND_CORES], check=True, capture_output=True, text=True)  # our own words
    assert ended.stdout.split() == ["2", "1"]


@pytest.mark.skipif(platform.machine() not in _NUMBERS, reason="the call's number is not known here")
def test_a_filter_that_kills() -> None:
    """Where a filter kills whoever chooses cores, as the service's own unit once did, the process goes on, on all of them."""
    command = [sys.executable, "-c", _UNDER_A_FILTER, str(_NUMBERS[platform.machine()])]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
