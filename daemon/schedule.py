"""When what is due: APScheduler as a clock that only wakes others, and never does work itself.

What there is to do is read from the store, so a tick that is lost or late loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from apscheduler.schedulers.background import BackgroundScheduler

_JITTER = 0.1


class Schedule:
    """Calls `wake` functions at intervals, from a thread of its own."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            # A late tick is still a tick, and many late ones are one: the default drops those that are a second late.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def every(self, interval: timedelta, name: str, wake: Callable[[], None]) -> None:
        """Call `wake` at each interval, a little early or late so that many installations do not call at once.

        `wake` must return at once.
        """
        seconds = interval.total_seconds()
        self._scheduler.add_job(wake, "interval", seconds=seconds, jitter=seconds * _JITTER, id=name, replace_existing=True)

    def start(self) -> None:
        """Begin. Call it once."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; no `wake` is called after that. Call it once, after `start`."""
        self._scheduler.shutdown(wait=False)


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
