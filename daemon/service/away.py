"""The start of a service whose database is away: it waits, as it does while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from daemon.config.store import StoreSettings
from daemon.core.errors import StoreRefused, StoreUnreachable
from daemon.runtime.systemd import SystemdNotifier
from daemon.store import BusyWait, Store

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # seconds between attempts, which double
_SAY_AFTER, _SAY_AGAIN = 10.0, 600.0  # seconds


def when_reachable(call: Callable[[], _T], notifier: SystemdNotifier) -> _T:
    """Return the result of the call, which is made again until the database can be reached.

    The log says what is waited for at once, and then rarely. Raises what the call raises, but
    StoreUnreachable only if the server answers and does not let this user in: that does not pass.
    """
    pause, said_at = _FIRST_PAUSE, None
    while True:
        try:
            found = call()
        except StoreRefused:
            raise
        except StoreUnreachable as error:
            now = time.monotonic()
            if said_at is None or now - said_at >= _SAY_AGAIN:
                _log.warning("the start waits for the database", reason=str(error))
                said_at = now
            notifier.opening("waiting for the database")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if said_at is not None:
                _log.info("the database is there, and the start goes on")
                notifier.opening()
            return found


def open_when_reachable(settings: StoreSettings) -> Store:
    """Open a store that is waited for, also in what follows, while it is busy or away.

    With the store's lock held. Raises StoreError.
    """
    notifier = SystemdNotifier()

    def say(step: float, total: float) -> None:
        if total - step < _SAY_AFTER <= total:
            _log.warning("the start waits for the database", seconds=round(total))
        notifier.opening("waiting for the database")

    wait = BusyWait(limit=None, rides=True, on_wait=say)
    return when_reachable(lambda: open_alone(settings, wait), notifier)


def open_alone(settings: StoreSettings, busy_wait: BusyWait | None = None) -> Store:
    """Open a store with its lock held. Raises StoreError."""
    return Store(settings.database, busy_wait, settings.password, alone=True)
