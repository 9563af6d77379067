"""Group commit: changes that several threads ask for at about the same time are made durable by one of the threads, for all of them.

A commit costs the same for one change and for many. The others sleep until their change is durable: if they queued for the database's
lock instead, each commit would wait for all of them to take it and give it back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlmodel import Session

_Result = TypeVar("_Result")


class Change(Generic[_Result]):
    """A change, and what came of it."""

    def __init__(self, make: Callable[[Session], _Result]) -> None:
        self._make = make
        self._results: list[_Result] = []
        self._error: BaseException | None = None
        self.ended = False
        self.awake = threading.Event()
        """Set when the change has ended, or its thread is to carry out what waits."""

    def run(self, session: Session) -> None:
        """Make the change; it may be made again after a transaction that failed."""
        self._results = [self._make(session)]

    def end(self, error: BaseException | None = None) -> None:
        """The change is durable; or there is no such change, and why."""
        self._error, self.ended = error, True

    def result(self) -> _Result:
        """What the change returned. Raises what made it fail."""
        if self._error:
            raise self._error
        return self._results[0]


class Together:
    """Gathers changes, and has `carry_out` end them, several at once: it takes what waits when it is ready to. It must not raise."""

    def __init__(self, carry_out: Callable[[Callable[[], Sequence[Change[Any]]]], Sequence[Change[Any]]]) -> None:
        self._carry_out = carry_out
        self._lock = threading.Lock()
        self._waiting: list[Change[Any]] = []
        self._under_way = False

    def do(self, make: Callable[[Session], _Result]) -> _Result:
        """Return what `make` returns, once it is durable. Raises what it or its transaction raises."""
        mine = Change(make)
        with self._lock:
            self._waiting.append(mine)
            leads, self._under_way = not self._under_way, True
        if not leads:
            mine.awake.wait()
        if not mine.ended:
            self._lead()
        return mine.result()

    def _lead(self) -> None:
        """Carry out what waits, and let the thread of the first change that came meanwhile go on."""
        some = self._carry_out(self._take)
        with self._lock:
            self._under_way = bool(self._waiting)
            following = self._waiting[:1]
        for change in (*following, *some):
            change.awake.set()

    def _take(self) -> Sequence[Change[Any]]:
        with self._lock:
            some, self._waiting = self._waiting, []
        return some
