"""How the process treats the machine."""

from __future__ import annotations

import configparser
import json
import platform
import subprocess
import sys

import pytest

from daemon.runtime import process
from tests.unit.conftest import ROOT

_THREADS_AND_CORES = """\
import os, threading
from daemon.runtime.process import pin_to_one_core
pin_to_one_core()
pin_to_one_core()
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
from daemon.runtime.process import pin_to_one_core
LOAD, IF_EQUAL, END, KILL, ALLOW = 0x20, 0x15, 0x06, 0x80000000, 0x7FFF0000
words = [(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, int(sys.argv[1])), (END, 0, 0, KILL), (END, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
sized = ctypes.create_string_buffer(struct.pack("HP", len(words), ctypes.addressof(program)))
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
assert prctl(SECCOMP, FILTER, sized, 0, 0) == 0, ctypes.get_errno()
before = os.sched_getaffinity(0)
pin_to_one_core()
print(os.sched_getaffinity(0) == before)
"""


def test_all_threads_pin_to_one_core() -> None:
    """A thread that is started later has the one core that the first one has; to ask for it twice
    is harmless."""
    ended = subprocess.run(
        [sys.executable, "-c", _THREADS_AND_CORES], check=True, capture_output=True, text=True
    )  # our own words
    assert ended.stdout.split() == ["2", "1"]


@pytest.mark.skipif(
    platform.machine() not in _NUMBERS, reason="the call's number is not known here"
)
def test_a_filter_that_kills() -> None:
    """Where a filter kills a process that chooses cores, as the service's own unit once did, the
    process goes on, on all of them."""
    command = [sys.executable, "-c", _UNDER_A_FILTER, str(_NUMBERS[platform.machine()])]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr


_LIMITS = """\
import ctypes, json, resource
from daemon.runtime.process import allow_enough_files, leave_no_core
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
for _ in range(2):
    allow_enough_files()
    leave_no_core()
limits = [resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)]
PR_GET_DUMPABLE = 3
print(json.dumps([*limits, ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)]))
"""


def test_files_and_cores() -> None:
    """Where no unit says so, the process itself raises the number of its files as far as it may,
    and leaves no core."""
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITS], check=True, capture_output=True, text=True
    )  # our own words
    assert json.loads(ended.stdout) == [[300, 300], [0, 0], 0]


def test_the_unit_says_the_same() -> None:
    """The unit allows as many files as the process would take, and no core."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "systemd" / "postmottak.service")
    assert (unit["Service"]["LimitNOFILE"], unit["Service"]["LimitCORE"]) == (
        str(process._FILES),
        "0",
    )
