"""What is under way at each destination: so much at a time, and a pause for one that keeps failing.

So a destination that hangs holds only its own lane, and one that is down is asked now and then
instead of once for each letter. Used by one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from daemon.core.circuit_breaker import CircuitBreaker, CircuitState

CONCURRENCY = 8
"""Attempts at a time at one destination, unless it takes more."""
LOOK_AGAIN = timedelta(seconds=1)
SOON = timedelta(milliseconds=100)
"""How long letters that come one by one are gathered while others are under way: to ask costs the
same for one and for many.
"""


@dataclass(kw_only=True)
class DestinationQueue:
    """One destination."""

    concurrency_limit: int = CONCURRENCY
    running: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    drained_at: datetime | None = None
    """When it was last asked and nothing more was due."""
    has_new_work: bool = False
    """Letters have come since it was last asked, perhaps for this destination."""

    def free_slots(self, now: datetime) -> int:
        """How many more attempts may begin now; after a pause one, to see how it goes."""
        match self.breaker.state(now):
            case CircuitState.CLOSED:
                return self.concurrency_limit - self.running
            case CircuitState.HALF_OPEN:
                return 0 if self.running else 1
            case CircuitState.OPEN:
                return 0

    @property
    def closed_until(self) -> datetime | None:
        """When the next attempt may begin after failures; None while all is well."""
        return self.breaker.open_until

    @property
    def has_backlog(self) -> bool:
        """Whether it is at work and may have more to do than it has room for."""
        return bool(self.running) and self.drained_at is None

    def should_claim(self, now: datetime) -> bool:
        """Whether to ask for deliveries now: that is a commit, so several are claimed at a time while others are under way."""
        return self._may_have_more(now) and self.free_slots(now) >= (
            self.concurrency_limit // 2 if self.running else 1
        )

    def _may_have_more(self, now: datetime) -> bool:
        """Whether it is worth asking: a lane that had nothing is asked again after a while, and soon if letters came meanwhile."""
        return self.drained_at is None or now - self.drained_at >= (
            SOON if self.has_new_work else LOOK_AGAIN
        )

    def claimed(self, now: datetime, *, more: bool) -> None:
        """Note that it was asked, and whether there may be more."""
        self.drained_at, self.has_new_work = None if more else now, False

    def finished(self, now: datetime, *, failed: bool) -> None:
        """Note the end of an attempt.

        `failed` where the destination could not be used, whatever the letter.
        """
        self.running -= 1
        if failed:
            self.breaker.failed(now)
        else:
            self.breaker.succeeded()


@dataclass(kw_only=True)
class DestinationQueues:
    """The lanes of all destinations; they keep their memory from round to round."""

    _queues: dict[str, DestinationQueue] = field(default_factory=dict)

    def __getitem__(self, destination: str) -> DestinationQueue:
        return self._queues.setdefault(destination, DestinationQueue())

    def begin_round(self, limits: Mapping[str, int]) -> None:
        """Look at the lane of each destination anew, with its width, and forget destinations that are no more."""
        self._queues = {
            name: queue for name, queue in self._queues.items() if name in limits or queue.running
        }
        for name, concurrency_limit in limits.items():
            self[name].concurrency_limit, self[name].drained_at = concurrency_limit, None

    def announce_new_work(self) -> None:
        """Letters have come, for whichever destination."""
        for queue in self._queues.values():
            queue.has_new_work = True

    @property
    def running(self) -> int:
        """Attempts that are under way."""
        return sum(queue.running for queue in self._queues.values())

    def next_reopening(self, now: datetime) -> datetime | None:
        """When the next lane that is closed may be tried; None if all are open."""
        return min(
            (
                queue.closed_until
                for queue in self._queues.values()
                if queue.closed_until and queue.closed_until > now
            ),
            default=None,
        )

    def paused(self, now: datetime) -> tuple[str, ...]:
        """Destinations that are left alone now."""
        return tuple(
            name
            for name, queue in self._queues.items()
            if queue.closed_until and queue.closed_until > now
        )
