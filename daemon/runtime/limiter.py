"""A limit on concurrent calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ConcurrencyLimiter:
    """Gives out `limit` slots at a time, and only `reduced_limit` while `yield_priority` says so.

    May be used from several threads.
    """

    def __init__(
        self,
        limit: int,
        *,
        reduced_limit: int | None = None,
        yield_priority: Callable[[], bool] = lambda: False,
    ) -> None:
        self._limit, self._reduced_limit = limit, min(reduced_limit or limit, limit)
        self._yield_priority = yield_priority
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot, and hold it until the block ends."""
        with self._changed:
            self._changed.wait_for(self._is_free)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                # the limit may be the whole one again, and only those who wait ask for it
                self._changed.notify(self._limit)

    def _is_free(self) -> bool:
        return self._taken < (self._reduced_limit if self._yield_priority() else self._limit)
