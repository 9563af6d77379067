"""Whether the service is running, as the page sees it without asking the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from daemon.store.in_use import POLL, store_use

_LOOK_AFTER = 10.0  # seconds
_GONE_FOR = 30.0
"""Seconds after which a service that was there counts as stopped: a restart is no matter."""


class Pulse:
    """Looks every few seconds whether a process has the store's lock. For several threads."""

    def __init__(self, database: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._gone_since: float | None = float("-inf")

    def is_stopped(self) -> bool:
        """Whether the service is not running; False where that cannot be seen."""
        now = self._clock()
        with self._lock:
            if now - self._looked >= _LOOK_AFTER:
                is_gone = _is_gone(self._database)
                if not is_gone:
                    self._gone_since = None
                elif self._gone_since is None:
                    self._gone_since = now
                self._looked = now
            return self._gone_since is not None and now - self._gone_since >= _GONE_FOR


def _is_gone(database: Path) -> bool:
    """Whether nothing works with the store; between two rounds of `poll` by cron, that is right."""
    use = store_use(database)
    return use.in_use is False and use.holder != POLL
