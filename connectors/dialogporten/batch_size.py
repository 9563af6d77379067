"""How many parties a search names: as many as Dialogporten answers well."""

from __future__ import annotations

import threading

_SLOW = 5.0  # seconds; Dialogporten aborts a search that takes over 20
_FAST = 1.0


class BatchSize:
    """Adapts to what searches cost. May be used from any thread.

    It is halved by a search that is slow or refused, and grows by a tenth with one that is fast, up
    to the limit in force.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._limit = self._size = limit

    @property
    def now(self) -> int:
        """The number of parties for the next search."""
        with self._lock:
            return self._size

    def limit(self, most: int) -> None:
        """Note the limit in force."""
        with self._lock:
            has_grown = most > self._limit and self._size == self._limit
            self._limit = most
            self._size = most if has_grown else min(self._size, most)

    def answered(self, seconds: float, parties: int) -> None:
        """Note how long a search of this many parties took."""
        with self._lock:
            if seconds >= _SLOW:
                self._size = max(1, min(self._size, parties // 2))
            elif seconds < _FAST and parties >= self._size:
                self._size = min(self._limit, self._size + max(1, self._size // 10))

    def refused(self, parties: int) -> None:
        """Note that a search of this many parties was refused or not answered."""
        with self._lock:
            self._size = max(1, min(self._size, parties // 2))
