"""The unit's status line, which `systemctl status` shows: whether all is well, as everywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from daemon.monitoring.health import Health
from daemon.runtime.systemd import SystemdNotifier


class StatusLine:
    """Keeps the line up to date.

    It begins with the headline that `status` begins with. Methods may be called from any thread,
    and return at once.
    """

    def __init__(self, notifier: SystemdNotifier, parts: Callable[[], str]) -> None:
        """`parts` says what the service is made of, in a few words."""
        self._notifier, self._parts = notifier, parts
        self._lock = threading.Lock()
        self._headline = ""
        self._polled: dict[str, str] = {}

    def __str__(self) -> str:
        with self._lock:
            return "; ".join(
                words for words in (self._headline, self._parts(), *self._polled.values()) if words
            )

    def show_health(self, health: Health) -> None:
        """Begin with how it is now."""
        with self._lock:
            self._headline = health.headline
        self._notifier.status(str(self))

    def show_poll(self, mailbox: str, stored: int, now: datetime) -> None:
        """Say when a mailbox was last polled, and how many letters that brought."""
        letters = f"{stored} new {'letter' if stored == 1 else 'letters'}"
        with self._lock:
            self._polled[mailbox] = f"{mailbox} polled at {now:%H:%M:%S} UTC: {letters}"
        self._notifier.status(str(self))
