"""What processes use, from /proc: processor time and memory of one and of all that it started."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK = 0.2  # seconds; a look at the memory of a large process takes the kernel a millisecond
_OWN_TIMES = slice(11, 15)  # in /proc/PID/stat, after the name
_IDLE = slice(3, 5)  # idle and iowait, in the first line of /proc/stat
_KINDS = 8  # fields there; those of guests, after these, are counted in them


def family(pid: int) -> list[int]:
    """Return the process and all that descend from it and are still there."""
    found = [pid]
    for each in found:
        with suppress(OSError):  # it has ended meanwhile
            for task in Path("/proc", str(each), "task").iterdir():
                found += map(int, (task / "children").read_text(encoding="utf-8").split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time so far, in seconds, with that of all descendants.

    Those that have ended count as well, once their parent has waited for them.
    """
    return sum(map(_cpu_seconds, family(pid)))


def memory(pid: int) -> float:
    """Return the memory in MB, with that of all descendants.

    A page that several processes share counts for each of them by its share, and so once.
    """
    return sum(map(_memory, family(pid)))


def machine_seconds() -> float:
    """Return the processor time that the whole machine has used so far, in seconds."""
    first = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0]
    fields = [int(each) for each in first.split()[1 : 1 + _KINDS]]
    return (sum(fields) - sum(fields[_IDLE])) / _TICKS


@dataclass
class Peak:
    """The most memory that was seen, in MB."""

    seen: float = 0.0


@contextmanager
def peak_memory(pid: int) -> Iterator[Peak]:
    """Look at the memory of a process and its descendants five times a second, in the block."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while True:
            peak.seen = max(peak.seen, memory(pid))
            if over.wait(_LOOK):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _cpu_seconds(pid: int) -> float:
    with suppress(OSError):
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8")
        return sum(map(int, text.rpartition(")")[2].split()[_OWN_TIMES])) / _TICKS
    return 0.0


def _memory(pid: int) -> float:
    with suppress(OSError):
        text = Path("/proc", str(pid), "smaps_rollup").read_text(encoding="utf-8")
        if found := re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE):
            return int(found[1]) / 1024
    return 0.0
