"""The scheduler: APScheduler as a clock that only wakes workers, and never does work itself.

The work itself is read from the store, so a lost or late tick loses nothing.

APScheduler goes by the time of day, which can be set. So an interval begins at the previous tick,
and never at a time that lies years back; and when the clock was set back, `follow_clock` begins
every interval again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from daemon.core.elapsed import elapsed

_JITTER = 0.1
# seconds by which the time of day has gone apart from the seconds that cannot be set
_CLOCK_SET = 5.0


class _Every(BaseTrigger):  # type: ignore[misc]  # which has no types
    """Fires `interval` after it last fired, however late that was.

    APScheduler's own trigger would catch up on every missed tick.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        """Return when it fires next, a little early or late."""
        # jitter keeps no secret
        return now + self._interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311


class Scheduler:
    """Calls `wake` functions at intervals, from its own thread.

    `wall` is the clock that APScheduler goes by.
    """

    def __init__(self, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._wall = wall
        self._ahead = self._ahead_of_elapsed()
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            # A late tick is still a tick, and many late ones are one: the default drops those that
            # are a second late.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def every(self, interval: timedelta, name: str, wake: Callable[[], None]) -> None:
        """Call `wake` at each interval, with jitter, so that installations do not call at once.

        `wake` must return at once. Scheduling a name again replaces the earlier one. May be called
        from any thread.
        """
        self._scheduler.add_job(wake, _Every(interval), id=name, replace_existing=True)

    def follow_clock(self) -> None:
        """If the clock was set, make everything tick now, and begin its interval again.

        Call it every few seconds, from one thread.
        """
        ahead = self._ahead_of_elapsed()
        if abs(ahead - self._ahead) < _CLOCK_SET:
            return
        self._ahead = ahead
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=self._wall())

    def start(self) -> None:
        """Start. Call it once."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop; no `wake` is called afterwards. Call it once, after `start`."""
        self._scheduler.shutdown(wait=False)

    def _ahead_of_elapsed(self) -> float:
        return self._wall().timestamp() - elapsed()


class WakeEvent:
    """Wakes one worker; calls while it does not wait count as one."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def wake_up(self) -> None:
        """Wake the worker, now or when it next waits."""
        self._rung.set()

    def wait(self, timeout: float) -> bool:
        """Sleep until `wake_up` is called, or for `timeout` seconds. Returns whether it was."""
        rung = self._rung.wait(timeout)
        self._rung.clear()
        return rung
