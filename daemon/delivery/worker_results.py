"""Results of deliveries that worker processes made, on their way to the thread of the outbox."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from daemon.core.model import Outcome
from daemon.delivery.local import LocalReport
from daemon.delivery.timings import DeliveryTimings


class AttemptCounter:
    """Counts attempts by destination and outcome; only ever growing. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Outcome]] = Counter()

    def add(self, destination: str, outcome: Outcome, count: int = 1) -> None:
        """Count so many more."""
        with self._lock:
            self._counts[destination, outcome] += count

    def values(self) -> dict[tuple[str, Outcome], int]:
        """Return the counts."""
        with self._lock:
            return dict(self._counts)


class WorkerResults:
    """Takes reports, counts what they have, and keeps the rest for one other thread."""

    def __init__(self, counted: AttemptCounter, timings: DeliveryTimings) -> None:
        self._counted, self._timings = counted, timings
        self._reports: queue.SimpleQueue[LocalReport] = queue.SimpleQueue()

    def put(self, report: LocalReport) -> None:
        """Take a report. May be called from any thread."""
        for name, some in report.delivered.items():
            self._counted.add(name, Outcome.DELIVERED, len(some))
            for each in some:
                self._timings.observe(name, *each)
        for attempt, ours in report.failed:
            if ours:
                destination = attempt.ending.claim.delivery.destination
                self._counted.add(destination, attempt.ending.outcome)
                self._timings.note(attempt.ending)
        self._reports.put(report)

    def take(self) -> Iterator[LocalReport]:
        """Yield the reports since the last call."""
        with suppress(queue.Empty):
            while True:
                yield self._reports.get_nowait()
