"""How long the service has been at work: what was wrong before may be over with its next poll."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

_PAUSE = timedelta(minutes=5)
"""Who has not looked for so long was stopped or suspended, or the clock was set."""
_UNTIL_ALL_REPORTED = timedelta(minutes=2)
"""After so long each part of the service has found out what is wrong with it."""


class Awake:
    """Since when a service has looked for problems without a pause. For one thread.

    `steady` is a clock that is never set.
    """

    def __init__(self, now: datetime, steady: Callable[[], datetime]) -> None:
        self._steady = steady
        self._last, self._since = now, steady()
        self.seen: set[str] = set()
        """The problems of its own that the service has reported since its start."""

    def look(self, now: datetime) -> None:
        """Note that the service looks now."""
        if now - self._last > _PAUSE:
            self._since = self._steady()
        self._last = now

    @property
    def for_so_long(self) -> timedelta:
        """Return how long it has been since the start, or since the last pause."""
        return self._steady() - self._since

    @property
    def has_heard_all(self) -> bool:
        """Return whether each part of the service has had time to report."""
        return self.for_so_long >= _UNTIL_ALL_REPORTED
