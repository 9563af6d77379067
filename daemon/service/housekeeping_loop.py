"""The loop of what is done once a day: retention, signing the journal, silent senders."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

from daemon.core.errors import DiskFull
from daemon.core.nodes import Duty
from daemon.maintenance.housekeeping import HOUSEKEEPING
from daemon.runtime.schedule import WakeEvent
from daemon.service.app import App
from daemon.service.room import Room

TIDY_EVERY = timedelta(days=1)
_UNTIL_CERTAIN = 15.0  # seconds between checks whether the clock is certain enough to delete by it
_UNTIL_FREE = 30.0  # seconds between looks whether the node that does this is gone
_UNTIL_ROOM = 300.0  # seconds between attempts to delete while the disk is full
_UNTIL_SIGNED = 3600.0  # seconds between attempts to sign and publish the journal's head


def run_housekeeping(app: App, room: Room, wake: WakeEvent, stopping: threading.Event) -> None:
    """Run housekeeping soon after the start, and then at each `wake`, which comes once a day.

    Soon after the start, because a service may be restarted every day. Raises StoreError.
    """
    beat = partial(app.heartbeats.beat, HOUSEKEEPING)
    while not stopping.is_set():
        beat()
        if not app.role.has(Duty.HOUSEKEEPING):
            app.heads.leave_to_others()
            app.heartbeats.beat_for_wait(HOUSEKEEPING, _UNTIL_FREE)
            wake.wait(_UNTIL_FREE)
            continue
        try:
            done = app.run_housekeeping(stopping)
            if done and not stopping.is_set():
                app.heads.sign(beat)
            room.found("deleted")
            done = app.resources.look_at_senders(stopping, beat) and done
            longest = 2 * TIDY_EVERY.total_seconds() if done else _UNTIL_CERTAIN
        except DiskFull as error:
            room.lacks("deleted", error)
            longest = _UNTIL_ROOM
        _rest(app, wake, stopping, longest)


def _rest(app: App, wake: WakeEvent, stopping: threading.Event, longest: float) -> None:
    """Wait for `wake`; try each hour to sign and publish what could not be. Raises StoreError."""
    beat = partial(app.heartbeats.beat, HOUSEKEEPING)
    while longest > 0 and not stopping.is_set():
        pause = min(longest, _UNTIL_SIGNED) if app.heads.is_behind else longest
        app.heartbeats.beat_for_wait(HOUSEKEEPING, pause)
        if wake.wait(pause) or stopping.is_set():
            return
        longest -= pause
        if app.heads.is_behind:
            app.heads.try_again(beat)
