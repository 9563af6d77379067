"""Counts how many threads do something at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class AtATime:
    """`most` is how many were ever inside `counted` together; each stays a few milliseconds, so
    that others can come."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Be one of them, until the block ends."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        threading.Event().wait(0.005)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1
