"""Waiting for a database that another program locks: a wait alone is never a failure.

SQLite reports `database is locked` in three places only: where a transaction begins, where a single
statement stands by itself, and where a transaction is committed. Each can be repeated, and nothing
of the transaction is lost: a commit that met a reader is still pending, and keeps new readers out
until it is made. Source: SQLite, "File Locking And Concurrency In SQLite Version 3", and the entry
SQLITE_BUSY of "Result and Error Codes".

On PostgreSQL only the lock with which a transaction begins to write is waited for so.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

from daemon.core.callbacks import do_nothing

T = TypeVar("T")
STEP = 1.0
"""Seconds after which a wait is reported, again and again."""
_SOON, _SHORT, _LONG = 0.1, 0.001, 0.01
"""For `_SOON` seconds the call is repeated each `_SHORT` seconds, and each `_LONG` later.

A process holds the lock for some milliseconds of each batch of letters. SQLite's own back-off soon
sleeps for 25 and more at a time, in which nobody writes.
"""
_LOCKED = frozenset({"55P03", "40P01", "40001"})
"""What PostgreSQL reports when others hold a lock for too long (its documentation, appendix A)."""
_LIMIT = 30.0
_GRACE = 4.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts to reach a database that is away, which double."""
_LIMIT_HERE: ContextVar[float | None] = ContextVar("_LIMIT_HERE", default=None)


def is_busy(error: BaseException | None) -> bool:
    """Whether the error only says that another connection locks the database."""
    error = getattr(error, "orig", error)  # SQLAlchemy's
    if getattr(error, "sqlstate", None) in _LOCKED:
        return True
    return (
        isinstance(error, sqlite3.OperationalError)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    )


@dataclass(kw_only=True)
class BusyWait:
    """How long a busy database is waited for. May be used from several threads."""

    step: float = STEP
    limit: float | None = _LIMIT
    """Seconds; None for as long as it takes, until `stopping` is set and `_GRACE` is over."""
    stopping: threading.Event = field(default_factory=threading.Event)
    on_wait: Callable[[float, float], None] = do_nothing
    """Called by the waiting thread after each step, with the seconds of the step and those since
    the wait began.
    """
    rides: bool = False
    """Whether a database that cannot be reached is waited for, too."""
    _stops_at: float | None = None

    def until_free(self, call: Callable[[], T]) -> T:
        """Return the result of the call, once the database is not busy.

        Raises: what the call raises; also SQLite's error for a busy database, once the wait takes
        too long.
        """
        began = asked = time.monotonic()
        while True:
            try:
                return call()
            except Exception as error:
                now = time.monotonic()
                if not is_busy(error) or self._is_over(now, now - began):
                    raise
            if now - asked >= self.step:
                self.on_wait(now - asked, now - began)
                asked = now
            time.sleep(min(_SHORT if now - began < _SOON else _LONG, self.step))

    def until_reachable(self, call: Callable[[], T], is_away: Callable[[Exception], bool]) -> T:
        """Return the result of the call, once the database can be reached, if this waits for it.

        Raises: what the call raises; also what `is_away` is true of, once the wait takes too long.
        """
        began = asked = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            try:
                return call()
            except Exception as error:
                now = time.monotonic()
                if not (self.rides and is_away(error)) or self._is_over(now, now - began):
                    raise
            self.on_wait(now - asked, now - began)
            asked = now
            time.sleep(_FIRST_PAUSE) if self.stopping.is_set() else self.stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _is_over(self, now: float, waited: float) -> bool:
        if self._stops_at is None and self.stopping.is_set():
            # for all waits together: some wait for each other, and a stop must be quick
            self._stops_at = now + _GRACE
        limits = (self.limit, _LIMIT_HERE.get())
        return any(limit is not None and waited >= limit for limit in limits) or (
            self._stops_at is not None and now >= self._stops_at
        )


@contextmanager
def wait_limit(seconds: float) -> Iterator[None]:
    """Wait at most `seconds` for a busy database, inside the block and in this thread only."""
    token = _LIMIT_HERE.set(seconds)
    try:
        yield
    finally:
        _LIMIT_HERE.reset(token)
