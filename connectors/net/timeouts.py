"""How long calls may take."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long calls may take; in seconds, and bytes per second."""

    connect: float = 10
    step: float = 20
    """For each wait for the server."""
    whole: float = 30
    """For a call with all its retries, and for a download until it begins."""
    min_rate: float = 1024
    """A slower download is aborted."""
    window: float = 60
    """The time over which `min_rate` is measured."""
    retry_delays: tuple[float, ...] = (0.3, 1.0)
    """The pauses before each retry of a call after a transient failure."""
    longest_turn: float = 10
    """The longest wait for a turn, where calls are paced; a later one is another time."""
    longest_retry_after: float = 3
    """The longest Retry-After that is waited for within a call."""

    def pause_before_retry(
        self, planned: float | None, *, again: bool, retry_after: float | None
    ) -> float | None:
        """Return how long to wait before a failed call is repeated; None if it should not be.

        `planned` is the pause for this time, None after the last. `again` says whether that may
        help, `retry_after` which wait the server asked for.
        """
        worth = again if retry_after is None else retry_after <= self.longest_retry_after
        if planned is None or not worth:
            return None
        # jitter keeps no secret
        pause = planned * random.uniform(0.5, 1.5)  # noqa: S311
        return max(pause, retry_after or 0)
