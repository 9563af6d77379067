"""Turns at calling somebody: so many at a time, and the next one begins while the last one still works at what it was told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """`many` turns at a time, and only `few` while it is `others_first`. May be used from several threads."""

    def __init__(self, many: int, *, few: int | None = None, others_first: Callable[[], bool] = lambda: False) -> None:
        self._many, self._few, self._others_first = many, min(few or many, many), others_first
        self._taken = 0
        self._over = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        """Wait for a turn, and have it until the block ends, or until what it yields is called; that may be done again, by this thread."""
        with self._over:
            self._over.wait_for(self._is_free)
            self._taken += 1
        held = True

        def end() -> None:
            nonlocal held
            if held:
                held = False
                with self._over:
                    self._taken -= 1
                    self._over.notify(self._many)  # there may be more turns again, and only who waits asks

        try:
            yield end
        finally:
            end()

    def _is_free(self) -> bool:
        return self._taken < (self._few if self._others_first() else self._many)
