"""How long to leave alone what keeps failing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Backoff:
    """Waits that grow by `factor` with each failure in a row, from `first` up to `longest`.

    `factor` is at least 1, and `jitter`, from 0 to 1, is the largest share of a wait that chance
    can take off.
    """

    first: timedelta
    longest: timedelta
    factor: float = 2
    jitter: float = 0

    def after(self, failures: int, chance: float = 0) -> timedelta:
        """Return the wait after so many failures in a row; nothing after none.

        `chance`, from 0 to 1, spreads waits that begin together.
        """
        if failures < 1:
            return timedelta()
        wait = self.first
        for _ in range(failures - 1):
            if wait >= self.longest:
                break
            wait *= self.factor
        return min(wait, self.longest) * (1 - self.jitter * chance)
