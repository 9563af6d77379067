"""A throttle for each destination: a concurrency limit, and a pause for one that keeps failing.

So a destination that hangs holds up only its own deliveries, and one that is down is tried now and
then instead of once for each letter. For one thread.
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
"""How long letters that come one by one are gathered while others are in flight: a claim costs the
same for one and for many.
"""


@dataclass(kw_only=True)
class DestinationQueue:
    """The deliveries of one destination: what is in flight, and whether more may be due."""

    concurrency_limit: int = CONCURRENCY
    running: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    drained_at: datetime | None = None
    """When the last claim found that nothing more was due."""
    has_new_work: bool = False
    """Letters have come since the last claim, perhaps for this destination."""

    def free_slots(self, now: datetime) -> int:
        """Return how many more attempts may begin now; after a pause, one as a test."""
        match self.breaker.state(now):
            case CircuitState.CLOSED:
                return self.concurrency_limit - self.running
            case CircuitState.HALF_OPEN:
                return 0 if self.running else 1
            case CircuitState.OPEN:
                return 0

    def takes_new_letters(self, now: datetime) -> bool:
        """Whether the destination works, as far as is known, and nothing waits for it."""
        return self.drained_at is not None and self.breaker.state(now) is CircuitState.CLOSED

    @property
    def closed_until(self) -> datetime | None:
        """When the next attempt may begin after failures; None without failures."""
        return self.breaker.open_until

    @property
    def has_backlog(self) -> bool:
        """Whether something is in flight, and more may be due than the limit allows."""
        return bool(self.running) and self.drained_at is None

    def should_claim(self, now: datetime) -> bool:
        """Whether to claim deliveries now.

        A claim is a commit, so several are claimed at a time while others are in flight.
        """
        return self._may_have_more(now) and self.free_slots(now) >= (
            self.concurrency_limit // 2 if self.running else 1
        )

    def _may_have_more(self, now: datetime) -> bool:
        """Whether more deliveries may be due.

        A queue that had none is checked again after a while, and soon if letters came meanwhile.
        """
        return self.drained_at is None or now - self.drained_at >= (
            SOON if self.has_new_work else LOOK_AGAIN
        )

    def claimed(self, now: datetime, *, more: bool) -> None:
        """Note a claim, and whether more may be due."""
        self.drained_at, self.has_new_work = None if more else now, False


@dataclass(kw_only=True)
class DestinationQueues:
    """The queues of all destinations; they are kept from round to round."""

    _queues: dict[str, DestinationQueue] = field(default_factory=dict)

    def __getitem__(self, destination: str) -> DestinationQueue:
        return self._queues.setdefault(destination, DestinationQueue())

    def begin_round(self, limits: Mapping[str, int]) -> None:
        """Check the queue of each destination again, with its concurrency limit.

        Queues of destinations that no longer exist are removed.
        """
        self._queues = {
            name: queue for name, queue in self._queues.items() if name in limits or queue.running
        }
        for name, concurrency_limit in limits.items():
            self[name].concurrency_limit, self[name].drained_at = concurrency_limit, None

    def announce_new_work(self) -> None:
        """Note that letters have come, for any destination."""
        for queue in self._queues.values():
            queue.has_new_work = True

    def end_pauses(self, now: datetime) -> None:
        """Let every destination that is paused be tried with one delivery now."""
        for queue in self._queues.values():
            queue.breaker.end_pause(now)

    @property
    def running(self) -> int:
        """The number of attempts in flight."""
        return sum(queue.running for queue in self._queues.values())

    def next_reopening(self, now: datetime) -> datetime | None:
        """Return when the next paused destination may be tried; None if none is paused."""
        return min(
            (
                queue.closed_until
                for queue in self._queues.values()
                if queue.closed_until and queue.closed_until > now
            ),
            default=None,
        )

    def paused(self, now: datetime) -> tuple[str, ...]:
        """Return the destinations that are paused now."""
        return tuple(
            name
            for name, queue in self._queues.items()
            if queue.closed_until and queue.closed_until > now
        )
