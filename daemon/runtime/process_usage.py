"""What this process uses: processor time, memory and open files.

Only /proc/self is read: the systemd unit hides the rest (`ProcSubset=pid`,
`ProtectProc=invisible`), so a process of the service can neither see another one nor the time of
the machine's start.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_STAT, _FILES = Path("/proc/self/stat"), Path("/proc/self/fd")
# fields of /proc/PID/stat after the command's name, which may contain spaces (proc(5))
_USER, _SYSTEM, _STARTED, _VIRTUAL, _RESIDENT = 11, 12, 19, 20, 21


@dataclass(frozen=True, kw_only=True)
class ProcessUsage:
    """What one process uses at a moment."""

    cpu_seconds: float
    """User and system time since its start."""
    resident_bytes: int
    virtual_bytes: int
    open_files: int
    files_limit: int
    started_at: float
    """In seconds since 1970, by the clock of this machine when it was first asked for."""


def usage_of_this_process() -> ProcessUsage | None:
    """Return what this process uses; None if the system does not report it.

    May be called from any thread.
    """
    try:
        fields = _STAT.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        ticks, page = os.sysconf("SC_CLK_TCK"), resource.getpagesize()
        return ProcessUsage(
            cpu_seconds=(int(fields[_USER]) + int(fields[_SYSTEM])) / ticks,
            resident_bytes=int(fields[_RESIDENT]) * page,
            virtual_bytes=int(fields[_VIRTUAL]),
            open_files=sum(1 for _ in _FILES.iterdir()),
            files_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            started_at=_started_at(os.getpid(), int(fields[_STARTED]) / ticks),
        )
    except (OSError, ValueError, IndexError):
        return None


@cache
def _started_at(_process: int, after_boot: float) -> float:
    """Return when the process started.

    Computed once, so that it does not move with the clock: monitors count changes as restarts.
    """
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - after_boot)
