"""Seconds that go on whatever anybody does to the clock of this machine, and what another machine's clock said at one of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime


def elapsed() -> float:
    """Seconds from anywhere, also those in which the machine sleeps; nothing sets them.

    From any thread.

    Source: clock_gettime(2), CLOCK_BOOTTIME. Where there is none, the seconds of a sleep are
    missing.
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
