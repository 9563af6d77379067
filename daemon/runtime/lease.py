"""How long this node may still do what others see, by its own clock, for all of its processes.

The service renews it when the database has answered; it begins when the question was sent, so it
ends before others can take over the work. What others see waits for an answer that is fresh: when
this node's connection ends, they take over sooner. It lies in memory that is shared with the
processes that are forked afterwards, so a worker knows at once, and asks nobody.
"""

from __future__ import annotations

import math
import mmap
import struct
import time
from collections.abc import Callable

from daemon.core.elapsed import elapsed
from daemon.core.errors import TemporaryFailure

_LOOK = 0.05  # seconds
_NUMBER = struct.Struct("=d")  # eight bytes, which are written at once


class Lease:
    """The lease of a node. May be used from any thread and any forked process."""

    def __init__(self, seconds: float, fresh: float, clock: Callable[[], float] = elapsed) -> None:
        """Make one that does not run yet; both are seconds after an answer."""
        self._seconds, self._fresh, self._clock = seconds, fresh, clock
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._set(-math.inf)

    def renew(self, asked_at: float) -> None:
        """Let it run: the database has answered what was asked then, by the same clock."""
        self._set(asked_at)

    def end(self) -> None:
        """Let it end now."""
        self._set(-math.inf)

    def age(self) -> float:
        """Return the seconds since it was renewed."""
        (renewed_at,) = _NUMBER.unpack_from(self._memory)
        return float(self._clock() - renewed_at)

    def runs(self) -> bool:
        """Whether this node may still begin something."""
        return self.age() < self._seconds

    def confirm(self) -> None:
        """Wait for a fresh answer while the lease runs; then raise TemporaryFailure."""
        while self.runs() and self.age() >= self._fresh:
            time.sleep(_LOOK)
        if not self.runs():
            raise TemporaryFailure(
                "the database has not answered this node for too long, so another node may be "
                "delivering this; it is tried again"
            )

    def _set(self, moment: float) -> None:
        _NUMBER.pack_into(self._memory, 0, moment)
