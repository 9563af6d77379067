"""When what is due: a thread that only wakes others, and never does work itself.

What there is to do is read from the store, so a tick that is lost or late loses nothing. Intervals are counted by the monotonic clock:
whoever sets the time of day neither silences a tick for years nor brings years of ticks.
"""

from __future__ import annotations

import random
import sched
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import structlog

_log = structlog.get_logger(__name__)
_JITTER = 0.1


class Schedule:
    """Calls `wake` functions at intervals, from a thread of its own."""

    def __init__(self) -> None:
        self._scheduler = sched.scheduler(time.monotonic)
        self._next: dict[str, tuple[object, sched.Event]] = {}
        """Who was scheduled last under a name, and when that is next due."""
        self._lock = threading.Lock()
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="schedule", daemon=True)

    def every(self, interval: timedelta, name: str, wake: Callable[[], None]) -> None:
        """Call `wake` at each interval, a little early or late so that many installations do not call at once.

        `wake` must return at once. Scheduling a name again takes the place of what it was. From any thread.
        """
        with self._lock:
            if name in self._next:
                with suppress(ValueError):  # it is being woken just now
                    self._scheduler.cancel(self._next[name][1])
            self._enter(object(), interval.total_seconds(), name, wake)
        self._changed.set()

    def start(self) -> None:
        """Begin. Call it once."""
        self._thread.start()

    def stop(self) -> None:
        """End; no `wake` is called after that. Call it once, after `start`."""
        self._stopped.set()
        self._changed.set()
        self._thread.join()

    def _enter(self, who: object, seconds: float, name: str, wake: Callable[[], None]) -> None:
        delay = seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # jitter keeps no secret
        event = self._scheduler.enter(delay, 0, self._ring, (who, seconds, name, wake))
        self._next[name] = who, event

    def _ring(self, who: object, seconds: float, name: str, wake: Callable[[], None]) -> None:
        with self._lock:
            if self._next[name][0] is not who or self._stopped.is_set():
                return
            self._enter(who, seconds, name, wake)
        try:
            wake()
        except Exception:  # noqa: BLE001  # one that fails is the end of no other
            _log.exception("what was due at an interval failed", what=name)

    def _loop(self) -> None:
        while not self._stopped.is_set():
            self._changed.clear()
            left = self._scheduler.run(blocking=False)
            self._changed.wait(left)


class Bell:
    """Wakes one worker: rings while nobody waits are kept as one."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake the worker, now or when it next waits."""
        self._rung.set()

    def wait(self, timeout: float) -> None:
        """Sleep until the bell rings, or for `timeout` seconds."""
        self._rung.wait(timeout)
        self._rung.clear()
