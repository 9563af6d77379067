"""Letters that are fetched and wait to be stored, gathered for commits."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress

from daemon.core.model import LetterRef, SightingState
from daemon.intake.fetch import Fetched
from daemon.store.staging import Staged

_AT_MOST = 64
_GATHER = 0.1
"""Seconds in which letters are gathered for one commit, which costs nearly the same for many."""


class ReadyLetters:
    """A queue from the threads that fetch to the one that stores."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Fetched | Exception] = queue.SimpleQueue()
        self._taken: list[Fetched] = []

    def __len__(self) -> int:
        """Return about how many wait to be taken. From any thread."""
        return self._queue.qsize()

    def put(self, fetched: Fetched | Exception) -> None:
        """Add a letter, or what `take` is to raise. May be called from several threads."""
        self._queue.put(fetched)

    @contextmanager
    def failures_reported(self) -> Iterator[None]:
        """Hand what the block raises to the thread that stores, which would wait for ever."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # `take` raises it
            self.put(error)

    def take(self, limit: int) -> list[Fetched]:
        """Wait for one letter, and take what else is ready soon after, up to `limit`.

        Raises an error that was put.
        """
        self._taken = []
        self._take(self._queue.get())
        ends = time.monotonic() + _GATHER
        with suppress(queue.Empty):
            while len(self._taken) < min(limit, _AT_MOST):
                self._take(self._queue.get(timeout=max(0.0, ends - time.monotonic())))
        taken, self._taken = self._taken, []
        return taken

    def staged(self) -> Iterator[Staged]:
        """Yield the bytes of the letters that were not taken, when nothing is put any more."""
        with suppress(queue.Empty):
            while True:
                left = self._queue.get_nowait()
                if isinstance(left, Fetched):
                    self._taken.append(left)
        for each in self._taken:
            yield from each.staged

    def _take(self, fetched: Fetched | Exception) -> None:
        if isinstance(fetched, Exception):
            raise fetched
        self._taken.append(fetched)


def without_unpublished(
    fetched: Generator[list[Fetched], None, None], unpublished: set[LetterRef] | None
) -> Generator[list[Fetched], None, None]:
    """Yield what was fetched, without the letters that the mailbox does not have or not give.

    Those are added to `unpublished`; without it, nothing is left out.
    """
    with closing(fetched):
        for some in fetched:
            if unpublished is None:
                yield some
                continue
            kept: list[Fetched] = []
            for each in some:
                if each.state in {SightingState.GONE, SightingState.FAILING}:
                    unpublished.add(each.ref)
                else:
                    kept.append(each)
            yield kept
