"""What attempts say of their destinations: which works, which fails, and what an outage put off."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

from daemon.delivery.attempts import AttemptResult
from daemon.delivery.failure_log import FailureLog
from daemon.delivery.local import LocalReport
from daemon.delivery.outages import Outages
from daemon.delivery.throttle import DestinationQueues


class DestinationHealth:
    """Follows the destinations' attempts. For one thread.

    `on_change` is called when deliveries to a destination begin or cease to fail.
    """

    def __init__(
        self,
        queues: DestinationQueues,
        steady: Callable[[], datetime],
        on_change: Callable[[], None],
    ) -> None:
        self._queues, self._steady = queues, steady
        self._outages = Outages()
        self._failure_log = FailureLog(on_change)

    def log(self, attempt: AttemptResult, *, ours: bool) -> None:
        """Log an attempt; `ours` unless something else has the delivery by now."""
        self._failure_log.note(attempt, ours=ours, now=self._steady())

    def judged(self, name: str, attempt: AttemptResult) -> Collection[UUID]:
        """Note an attempt of a queue; return what is due now because an outage is over."""
        delivery = attempt.ending.claim.id
        if attempt.destination_down:
            self._queues[name].breaker.failed(self._steady())
            if attempt.may_go_sooner:
                self._outages.failed(name, delivery)
            return ()
        self._outages.ended(delivery)
        return self._works(name)

    def reported(self, report: LocalReport) -> Collection[UUID]:
        """Note what a worker process has found out; return what is due now."""
        due_now: set[UUID] = set()
        for name in report.delivered:
            self._failure_log.is_well(name)
            due_now |= {*self._works(name)}
        for attempt, ours in report.failed:
            self.log(attempt, ours=ours)
            due_now |= {*self.judged(attempt.ending.claim.delivery.destination, attempt)}
        return due_now

    def one_put_off(self, name: str) -> Collection[UUID]:
        """Return a delivery with which to test whether the destination works again, if any."""
        return self._outages.one(name)

    def _works(self, name: str) -> Collection[UUID]:
        queue = self._queues[name]
        was_paused = queue.closed_until is not None
        queue.breaker.succeeded()
        due_now = self._outages.over(name, was_paused=was_paused)
        if due_now:
            queue.drained_at = None
        return due_now
