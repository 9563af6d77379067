"""Keeps the index near the store, without a page that waits for it.

Each view reads what has changed, for a moment. What takes longer, as the first reading of all
letters does, goes on in a thread of the process, while lists show what is there already.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog

from daemon.core.errors import PostmottakError
from daemon.page.search.index import SearchFault, SearchIndex

_log = structlog.get_logger(__name__)
_MOMENT = 0.1  # seconds that a view waits
_DEAR, _WILL_DO = 0.04, 0.5  # seconds of the processor for a look; seconds that it is good for
_PIECE = 1.0  # seconds after which the thread looks whether it is to end
_PAUSE = 0.05  # seconds between two pieces, in which others may read
_AGAIN = 5.0  # seconds after which a reading that failed is tried again
_END_WITHIN = 4.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """What lists lack: nothing; the letters that are not read yet; or what is new."""

    read: int = 0
    expected: int = 0
    """While the index is being built: how many letters were read, of about how many."""
    failed: bool = False
    """Whether the index could not be written, so that lists may lack what is new."""

    @property
    def is_building(self) -> bool:
        """Whether there are letters that no list has, because they were never read."""
        return self.read < self.expected


class Follower:
    """Reads what has changed. May be used from several threads."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self._wanted, self._ending = threading.Event(), threading.Event()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failed = False
        self._next = 0.0

    def catch_up(self) -> Freshness:
        """Read what has changed, for a moment; the rest is read meanwhile.

        With many thousand deliveries that wait, even to look is dear, so for half a second after
        it what was read then will do.

        A file that cannot be written is no error: what is in it can still be listed. Raises
        SearchFault if it cannot be read either, and StoreError.
        """
        if not self._wanted.is_set() and time.monotonic() >= self._next:
            used = time.thread_time()
            if not self._sync(_MOMENT):
                self._go_on()
            elif time.thread_time() - used > _DEAR:
                self._next = time.monotonic() + _WILL_DO
        read, expected = self._index.progress()
        return Freshness(read=read, expected=expected, failed=self._failed)

    def close(self) -> None:
        """End the thread; may be called twice."""
        self._ending.set()
        self._wanted.set()
        if self._thread:
            self._thread.join(_END_WITHIN)

    def _sync(self, seconds: float) -> bool:
        """Return whether nothing is left to read now, or whether nothing can be."""
        try:
            synced = self._index.sync(seconds)
        except SearchFault as fault:
            if not self._failed:
                _log.error("the search index cannot be written", reason=str(fault))
            self._failed = True
            return True
        self._failed = False
        return synced.complete

    def _go_on(self) -> None:
        with self._working:
            self._wanted.set()
            if self._thread is None and not self._ending.is_set():
                self._thread = threading.Thread(target=self._work, name="search", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while self._wanted.wait() and not self._ending.is_set():
            try:
                if self._sync(_PIECE):
                    self._wanted.clear()
                self._ending.wait(_PAUSE)
            except PostmottakError as error:  # the store is busy: that is over soon
                _log.warning("the search index waits for the store", reason=str(error))
                self._ending.wait(_AGAIN)
