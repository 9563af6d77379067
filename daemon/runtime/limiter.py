"""Turns at calling somebody: so many at a time, and the next one begins while the last one still works at what it was told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ConcurrencyLimiter:
    """`limit` turns at a time, and only `reduced_limit` while it is `yield_priority`.

    May be used from several threads.
    """

    def __init__(
        self,
        limit: int,
        *,
        reduced_limit: int | None = None,
        yield_priority: Callable[[], bool] = lambda: False,
    ) -> None:
        self._many, self._few, self._others_first = (
            limit,
            min(reduced_limit or limit, limit),
            yield_priority,
        )
        self._taken = 0
        self._over = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[Callable[[], None]]:
        """Wait for a turn, and have it until the block ends, or until what it yields is called.

        That may be done again, by this thread.
        """
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
                    self._over.notify(
                        self._many
                    )  # there may be more turns again, and only who waits asks

        try:
            yield end
        finally:
            end()

    def _is_free(self) -> bool:
        return self._taken < (self._few if self._others_first() else self._many)
