"""How this process treats the machine.

Large blocks of memory are given back, what stays for good is not looked through again and again,
and its threads keep to one core.

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
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_FROM = 4 << 20  # bytes; more than the pieces in which files are read
_GARBAGE_AFTER = 20_000
"""Objects that are made before Python looks for garbage, instead of 700: a few letters' worth, some
megabytes at most.
"""

_FILES = 8192
"""That may be open: far more than the service needs, and what it closes at once when it starts
others stays few.
"""
_PR_SET_DUMPABLE = 4  # prctl.h


def allow_enough_files() -> None:
    """Raise the number of files that may be open as far as the system lets us, but not without end.

    May be called again.
    """
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave_no_core() -> None:
    """Have the kernel write no core of this process, for it holds letters and secrets.

    Not even to a program that collects cores.

    Such a program gets a core whatever the limit is (core(5)), but not of a process that is not
    dumpable (prctl(2)). May be called again.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def tune_malloc() -> None:
    """Have it so for this process.

    Does nothing where the C library is another one; may be called again.
    """
    with suppress(OSError, AttributeError):
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(parameter, _FROM)


def freeze_gc() -> None:
    """Leave all that is in memory now, modules and settings, out of the search for garbage, and search more seldom.

    It took a tenth of a letter's processor time. May be called again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER)


def pin_to_one_core() -> frozenset[int]:
    """Have this thread, and those that it starts from now on, run on the core that this one runs on; the cores that are left for others.

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
    """Have this thread, and those that it starts from now on, run on the cores that `pin_to_one_core` left; on any if it left none."""
    if cores:
        with suppress(OSError):  # a core can be taken away from us
            os.sched_setaffinity(0, cores)


def _may_choose_cores() -> bool:
    """Whether somebody like us survives it: a filter of system calls, as systemd sets it, may kill whoever makes one that it denies."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))",
    ]
    return (
        subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode
        == 0
    )  # our own words
