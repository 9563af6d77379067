"""Turns at calling somebody: so many at a time, and the next one begins while the last one still works at what it was told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """`many` turns at a time. May be used from several threads."""

    def __init__(self, many: int) -> None:
        self._free = threading.Semaphore(many)

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        """Wait for a turn, and have it until the block ends, or until what it yields is called; that may be done again, by this thread."""
        held = self._free.acquire()

        def end() -> None:
            nonlocal held
            if held:
                held = False
                self._free.release()

        try:
            yield end
        finally:
            end()
