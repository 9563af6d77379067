"""Process-wide settings: memory, garbage collection, open files, core dumps and processor cores.

glibc raises the size from which it maps a block by itself, up to 32 MiB, whenever such a block is
freed (mallopt(3)); a few large letters at a time then stay in its arenas, one arena for each
thread. A fixed size keeps the process small. What is free at the end of an arena is given back only
from the same size on: with glibc's 128 KiB it would go and come with every piece of a file.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_FROM = 4 << 20  # bytes; more than the pieces in which files are read
_GARBAGE_AFTER = 20_000
"""Objects made before Python collects garbage, instead of 700: a few letters' worth, some megabytes
at most.
"""

_FILES = 8192
"""The limit on open files: far more than the service needs, and few enough to close quickly when it
starts other processes.
"""
_PR_SET_DUMPABLE = 4  # prctl.h


def process_name() -> str:
    """Return the name by which this process claims deliveries: the machine's name and the id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def own_version() -> str:
    """Return this program's version."""
    try:
        return version("postmottak")
    except PackageNotFoundError:
        return "unknown"


def allow_enough_files() -> None:
    """Raise the limit on open files as far as the system allows, up to `_FILES`.

    May be called again.
    """
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave_no_core() -> None:
    """Keep the kernel from writing a core dump of this process, which holds letters and secrets.

    A program that collects cores gets one whatever the limit is (core(5)), but not of a process
    that is not dumpable (prctl(2)). May be called again.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def tune_malloc() -> None:
    """Set malloc's thresholds, as described above.

    Does nothing with another C library than glibc; may be called again.
    """
    with suppress(OSError, AttributeError):
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _FROM)


def freeze_gc() -> None:
    """Exclude what is in memory now from garbage collection, and collect less often.

    Going through modules and settings again and again took a tenth of a letter's processor time.
    May be called again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER)


def pin_to_one_core() -> frozenset[int]:
    """Pin this thread, and those that it starts from now on, to its core. Returns the other cores.

    One thread at a time can have Python's interpreter lock, so a second core speeds up little; but
    each time that the lock goes to a thread on another core, that core has to be woken, which took
    a third of a letter's processor time. Waiting for disks and networks needs no core. Does
    nothing, and leaves none, where the system has no such calls (sched_getcpu(3),
    sched_setaffinity(2)) or does not let us; may be called again.
    """
    with suppress(OSError, AttributeError):
        if _may_choose_cores():
            core = ctypes.CDLL(None).sched_getcpu()
            others = os.sched_getaffinity(0) - {core}
            os.sched_setaffinity(0, {core})
            return frozenset(others)
    return frozenset()


def pin_to(cores: Collection[int]) -> None:
    """Pin this thread, and those that it starts from now on, to `cores`, if there are any."""
    if cores:
        with suppress(OSError):  # a core can be taken away from us
            os.sched_setaffinity(0, cores)


def _may_choose_cores() -> bool:
    """Whether a child survives it: systemd's system call filter may kill on a denied call."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))",
    ]
    ended = subprocess.run(  # noqa: S603  # our own words
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return ended.returncode == 0
