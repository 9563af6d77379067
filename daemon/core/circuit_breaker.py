"""When to pause calls to what keeps failing, and when to try it again. Pure: no clock, no lock.

The terms are Martin Fowler's (https://martinfowler.com/bliki/CircuitBreaker.html): closed while
calls are made, open while none is made, half-open while a single one tests whether it is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from daemon.core.backoff import Backoff

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)
_PAUSES = Backoff(FIRST_PAUSE, LONGEST_PAUSE)


class CircuitState(StrEnum):
    """Whether calls are made."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(kw_only=True)
class CircuitBreaker:
    """Opens after `threshold` failures in a row, for pauses that grow as `backoff` says.

    While it is half-open, the caller makes only one call at a time. For one thread, or under the
    caller's lock; `now` may come from any clock, but always from the same one.
    """

    backoff: Backoff = _PAUSES
    threshold: int = 5
    failures: int = 0
    """In a row."""
    pauses: int = 0
    """In a row, without a success in between."""
    open_until: datetime | None = None
    """When it is, or was, half-open; None while it is closed."""

    def state(self, now: datetime) -> CircuitState:
        """Return the state at this moment."""
        if self.open_until is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self.open_until else CircuitState.HALF_OPEN

    def succeeded(self) -> None:
        """Close it, and forget all failures."""
        self.failures, self.pauses, self.open_until = 0, 0, None

    def end_pause(self, now: datetime) -> None:
        """Be half-open if it is open."""
        if self.state(now) is CircuitState.OPEN:
            self.open_until = now

    def failed(self, now: datetime, chance: float = 0) -> None:
        """Count a failure, and open if it is one too many. `chance`, from 0 to 1, spreads pauses.

        A failure while it is open belongs to a call that began earlier, and makes the pause no
        longer.
        """
        self.failures += 1
        state = self.state(now)
        if state is CircuitState.HALF_OPEN or (
            state is CircuitState.CLOSED and self.failures >= self.threshold
        ):
            self.pauses += 1
            self.open_until = now + self.backoff.after(self.pauses, chance)
