"""Seconds that pass independently of this machine's clock, and the time of another machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime


def elapsed() -> float:
    """Return seconds from an arbitrary start, including sleep of the machine; they cannot be set.

    May be called from any thread. Source: clock_gettime(2), CLOCK_BOOTTIME. Without it, the seconds
    of a sleep are missing.
    """
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


@dataclass(frozen=True, kw_only=True)
class SourceTime:
    """What the clock of a source of letters said when `elapsed` was `at`.

    To the second, and late by the time that its answer took.
    """

    date: datetime
    at: float
