"""Whether what the service's parts keep can be kept, as they find out by trying.

The disk may have no room, or the bucket for content may not answer.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from daemon.core.bookkeeping import FULL, STORAGE
from daemon.core.errors import DiskFull, StorageUnreachable
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import ServiceProblems

_log = structlog.get_logger(__name__)
_QUIET = 1200.0
"""Seconds without a failure after which there is room, although nothing was kept: longer than a
delivery is claimed, and is not due, when its outcome could not be recorded."""


class Room:
    """Keeps the problems FULL and STORAGE. May be used by several threads.

    One part may find room for small letters while another has none for a large one, so the problem
    lasts until each that found none has found some.
    """

    def __init__(self, problems: ServiceProblems) -> None:
        self._problems = problems
        self._lock = threading.Lock()
        self._lacking: defaultdict[str, dict[str, float]] = defaultdict(dict)
        """By what is not done: who found no room, and when, on the monotonic clock."""

    def lacks(self, what: str, error: DiskFull, who: str = "") -> None:
        """Note that `who` found no room, so that nothing is `what`, such as `fetched`."""
        _log.error(f"nothing is {what} until {_until(error)}", reason=str(error))
        kind, text = FULL, f"The disk is full, and nothing is {what}: {error}; make room"
        if isinstance(error, StorageUnreachable):
            kind, text = STORAGE, f"Nothing is {what}: {error}"
        with self._lock:
            self._lacking[what][who] = time.monotonic()
            self._problems.begin(Problem(kind=kind, about=what, text=text))

    def found(self, what: str, who: str = "", *, certain: bool = True) -> None:
        """Note that `who` met no full disk; not `certain` if it may have had nothing to keep."""
        with self._lock:
            lacking = self._lacking[what]
            since = lacking.get(who)
            if since is None or (not certain and time.monotonic() - since < _QUIET):
                return
            del lacking[who]
            if not lacking:
                self._problems.end(FULL, what)
                self._problems.end(STORAGE, what)


@contextmanager
def without_room(consequence: str) -> Iterator[None]:
    """Log the `consequence` if the block finds the disk full, and go on without it."""
    try:
        yield
    except DiskFull as error:
        _log.error(f"{consequence} until {_until(error)}", reason=str(error))


def _until(error: DiskFull) -> str:
    """Return what is waited for, as the end of a sentence."""
    unreachable = isinstance(error, StorageUnreachable)
    return "the storage of content can be reached" if unreachable else "there is room"
