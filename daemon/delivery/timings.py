"""How long attempts take, and how long letters are under way, by destination."""

from __future__ import annotations

from daemon.core.model import MessageKind, Outcome
from daemon.runtime.metrics import Histogram
from daemon.store import ClaimResult

# seconds; the longest is the lease of a claim
_ATTEMPT = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
# seconds; from one batch to the hours after which problems are critical, and the days after which
# deliveries are given up
_UNDER_WAY = (1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600, 5 * 24 * 3600)


class DeliveryTimings:
    """Histograms in seconds since the start, by destination. May be read from any thread."""

    def __init__(self) -> None:
        self.attempts = Histogram(_ATTEMPT)
        """How long attempts took, however they ended; letters of one batch share theirs."""
        self.since_fetched = Histogram(_UNDER_WAY)
        """From the fetching of a letter to its first delivery to the destination."""
        self.since_published = Histogram(_UNDER_WAY)
        """From the publish time of a letter to its first delivery to the destination."""

    def observe(
        self, name: str, attempt: float, since_fetched: float, since_published: float
    ) -> None:
        """Observe a letter's first delivery, in seconds. May be called from any thread."""
        self.attempts.observe(name, attempt)
        self.since_fetched.observe(name, since_fetched)
        self.since_published.observe(name, since_published)

    def note(self, ending: ClaimResult) -> None:
        """Observe an attempt that has been recorded."""
        delivery, message = ending.claim.delivery, ending.claim.message
        name, ended = delivery.destination, ending.ended_at
        self.attempts.observe(name, (ended - ending.started_at).total_seconds())
        # a repeat that an operator asked for says nothing about how long letters are under way
        if ending.outcome is Outcome.DELIVERED and delivery.generation == 1:
            self.since_fetched.observe(name, (ended - message.fetched_at).total_seconds())
            if message.kind is MessageKind.LETTER:
                self.since_published.observe(name, (ended - message.published_at).total_seconds())
