"""search.db: all that lists of letters need, in a file of its own beside the database.

The database has a rollback journal, so every read of it blocks the service's commits. This file is
derived from it, in WAL mode: it can be made again at any time, no backup needs it, and a read of it
blocks nothing. No confidential letter is ever in it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.core.callbacks import do_nothing
from daemon.core.errors import PostmottakError
from daemon.page.search import schema
from daemon.page.search.filling import Filling
from daemon.page.search.forgetting import forget
from daemon.runtime.owner import create_file, make_folder
from daemon.store import Store

_BUSY_WAIT = 10.0  # seconds to wait for another process that writes
_READ_AT_MOST = 2.0  # seconds of the processor that a read may take
_WAIT_AT_MOST = 10.0  # seconds that it may take by the clock, on a machine that is busy
_OPERATIONS = 20_000  # of SQLite, between two looks at the clock: about 1 ms
_CACHE = -16_000  # kilobytes
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN})
_BESIDE = ("", "-journal", "-wal", "-shm")


class SearchFault(PostmottakError):
    """The search index could not be used; the letters themselves are not affected."""


class SearchTooSlow(SearchFault):
    """A search took longer than it may; a narrower one will do."""


@dataclass(frozen=True, kw_only=True)
class Synced:
    """The result of bringing the index up to date."""

    complete: bool
    """Whether it has all that the store had when this began."""
    letters: int
    """How many letters were written, or removed."""


class SearchIndex:
    """The index. May be used from several threads, and by several processes at once."""

    def __init__(self, path: Path, store: Store) -> None:
        """Open the index; make it if it is missing, damaged or of another version, still empty.

        Raises SearchFault.
        """
        self.path = path
        self._store = store
        self._one_writer = threading.Lock()
        self._idle: list[tuple[int, sqlite3.Connection]] = []
        self._pool = threading.Lock()
        with _as_fault(path):
            make_folder(path.parent)
            try:
                self._prepare()
            except sqlite3.DatabaseError as error:
                if not _is_damaged(error):
                    raise
                self._make_again()

    def sync(
        self,
        budget: float | None = None,
        progress: Callable[[int, int], None] = do_nothing,
    ) -> Synced:
        """Bring the index up to date, for about `budget` seconds at most; the next call goes on.

        If another thread is doing it, and there is a budget, that is left to it. `progress` gets
        how many letters were read, and about how many there are. Raises SearchFault, StoreError.
        """
        ends = None if budget is None else time.monotonic() + budget
        if not self._one_writer.acquire(timeout=-1 if budget is None else budget):
            return Synced(complete=False, letters=0)
        try:
            return self._sync(ends, progress)
        finally:
            self._one_writer.release()

    def rebuild(self, progress: Callable[[int, int], None] = do_nothing) -> Synced:
        """Make the index again from nothing. `progress` is as for `sync`."""
        with self._one_writer:
            self._discard()
            with _as_fault(self.path):
                self._make_again()
            return self._sync(None, progress)

    def is_complete(self) -> bool:
        """Whether every letter was read once; else lists are shorter than they will be."""
        with self.read() as connection:
            return Filling(self._store.changes, connection).is_built

    def progress(self) -> tuple[int, int]:
        """Return how many letters were read, and about how many there are, until each was once.

        Then both are 0. Raises SearchFault, StoreError.
        """
        with self.read() as connection:
            filling = Filling(self._store.changes, connection)
            return (0, 0) if filling.is_built else filling.progress()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read a consistent state, for two seconds of the processor at most, or ten by the clock.

        Raises SearchTooSlow, or SearchFault; if the file is damaged, it is made again for the next.
        """
        with _as_fault(self.path):
            connection = self._taken()
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                connection.close()
                if _is_damaged(error):
                    self._discard()
                    self._make_again()
                raise
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._discard()

    def _sync(self, ends: float | None, progress: Callable[[int, int], None]) -> Synced:
        try:
            with _as_fault(self.path), closing(self._current(self._writer)) as connection:
                return _filled(Filling(self._store.changes, connection), ends, progress)
        except SearchFault as fault:
            if not _is_damaged(fault.__cause__):
                raise
        self._discard()
        with _as_fault(self.path):
            self._make_again()
            with closing(self._writer()) as connection:
                return _filled(Filling(self._store.changes, connection), ends, progress)

    def _prepare(self) -> None:
        create_file(self.path)
        with closing(self._writer()) as connection:
            if schema.is_current(connection):
                return
            with transaction(connection):
                if not schema.is_current(connection):  # another process may have been first
                    schema.make(connection)

    def _make_again(self) -> None:
        for ending in _BESIDE:
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self._prepare()

    def _current(self, opened: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """Return a connection to a file that has the tables, which another program may empty."""
        connection = opened()
        try:
            if schema.is_current(connection):
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        self._make_again()
        return opened()

    def _writer(self) -> sqlite3.Connection:
        connection = self._opened()
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA secure_delete = ON")  # what retention deletes is overwritten
        except BaseException:
            connection.close()
            raise
        return connection

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",  # never makes a file that all may read
            uri=True,
            timeout=_BUSY_WAIT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # a power cut may cost the last commits, which are written again
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = {_CACHE}")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    def _taken(self) -> sqlite3.Connection:
        """Return a connection for one reader, to the file that has the name now."""
        if not self.path.exists():
            self._make_again()
        now = self.path.stat().st_ino
        with self._pool:
            while self._idle:
                of, connection = self._idle.pop()
                if of == now:
                    break
                connection.close()  # another process has made the file again
            else:
                connection = self._current(self._opened)
        _limit(connection)
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with suppress(OSError), self._pool:
            self._idle.append((self.path.stat().st_ino, connection))
            return
        connection.close()

    def _discard(self) -> None:
        with self._pool:
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write in one transaction, which is undone if the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # on a full disk SQLite may have undone it by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _filled(filling: Filling, ends: float | None, progress: Callable[[int, int], None]) -> Synced:
    """Write what has changed, a piece in each transaction; at the end, forget what was deleted."""
    connection, letters = filling.connection, 0
    while True:
        with transaction(connection):
            written = filling.step()
        if written is None:
            return Synced(complete=forget(connection, ends), letters=letters)
        letters += written
        progress(letters, filling.expected)
        if ends is not None and time.monotonic() > ends:
            return Synced(complete=False, letters=letters)


def _limit(connection: sqlite3.Connection) -> None:
    """End what this thread reads when it takes too long."""
    used, ends = time.thread_time() + _READ_AT_MOST, time.monotonic() + _WAIT_AT_MOST
    connection.set_progress_handler(
        lambda: time.thread_time() > used or time.monotonic() > ends, _OPERATIONS
    )


def _is_damaged(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


@contextmanager
def _as_fault(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise SearchTooSlow(
                "the search took too long; search for more words, or for fewer days"
            ) from error
        why = getattr(error, "strerror", None) or error
        raise SearchFault(
            f"the search index {path} failed: {why}; no letter is affected, and once it is removed "
            "it is made again"
        ) from error
