"""Keeps a list without an end to a share of a core: letters of others come no later for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class CpuThrottle:
    """Waits between steps, so that they take at most `share` of a core. For one thread.

    A step that itself waits long, for a server far away, is not delayed further.
    """

    share: float = 0.05
    after: int = 20
    """So many steps are not delayed: nearly every list has ended by then."""
    longest: float = 1.0
    """Seconds that one wait takes at most."""
    processor: Callable[[], float] = time.thread_time
    steady: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _steps: int = 0
    _last: tuple[float, float] = field(default=(0.0, 0.0))

    def step(self) -> None:
        """Wait as long as the step before requires; called at the beginning of each."""
        self._steps += 1
        if self._steps > self.after + 1:
            used, passed = self.processor() - self._last[0], self.steady() - self._last[1]
            wait = min(self.longest, used / self.share - passed)
            if wait > 0:
                self.sleep(wait)
        self._last = self.processor(), self.steady()
