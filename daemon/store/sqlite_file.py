"""The database as a file: a copy of it at one moment, and its integrity.

Depends on SQLite, as `database` does.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from daemon.core.durable_files import sync
from daemon.core.errors import StoreBusy, StoreError
from daemon.core.file_owner import inherit
from daemon.store.busy import is_busy

_STEP = 2000  # pages that are copied while others wait: about 10 ms
_ALL = -1
_PAUSE = 0.05  # seconds after which a step that met a write is tried again
_TIMEOUT = 30.0  # seconds that a busy database is waited for
_BUSY = "the database is busy: another program keeps it locked; try again later"
_RESTARTS = 20
_OPERATIONS = 1_000_000  # of SQLite, between two heartbeats: about 50 ms
_CACHE = -200_000  # kilobytes, because rows are looked up in the order of each index
_MORE = 1.1  # times the size of the database, for its copy
BESIDE = ("", "-journal", "-wal", "-shm")
"""The endings of the database's files; SQLite would use another database's journal for this one."""


def copy_database(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment durably to a new file, also while others use it.

    Writes of others wait for one step at a time. After each write the copy starts over; after
    `_RESTARTS` times writers wait until it is complete, because otherwise it might never be. Raises
    StoreError.
    """
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        inherit(descriptor, target.parent)
        os.close(descriptor)
        try:
            _copy(source, target)
        except BaseException:
            target.unlink()  # on a full disk, half a copy would be in the way
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the database {source} cannot be copied to {target}: {error}") from error


def _copy(source: Path, target: Path) -> None:
    with closing(_open(source)) as here:
        try:
            _fill(here, target, _RESTARTS, _STEP)
        except _AgainAndAgainError:
            os.truncate(target, 0)
            _fill(here, target, 0, _ALL)
    sync(target)


def _fill(here: sqlite3.Connection, target: Path, restarts: int, step: int) -> None:
    with closing(sqlite3.connect(target)) as there:
        there.execute("PRAGMA journal_mode=OFF")  # half a copy is removed, not repaired
        there.execute("PRAGMA synchronous=OFF")  # synced as a whole afterwards
        here.backup(there, pages=step, progress=_Steps(restarts), sleep=_PAUSE)


class _AgainAndAgainError(Exception):
    """Others write too often for a copy that is made in steps."""


class _Steps:
    """Called after each step of a copy.

    After a write it starts over, so that no fewer pages remain than before.
    """

    def __init__(self, restarts: int) -> None:
        self._left, self._restarts = sys.maxsize, restarts

    def __call__(self, status: int, left: int, _pages: int) -> None:
        if status == sqlite3.SQLITE_BUSY:  # after as long as the connection waits
            raise StoreBusy(_BUSY)
        self._restarts -= left >= self._left
        self._left = left
        if self._restarts < 0:
            raise _AgainAndAgainError


@contextmanager
def copied(path: Path) -> Iterator[Path]:
    """Yield a copy of the database beside it, for the block.

    If there is no room, or it cannot be copied, yield the database itself.
    """
    copy = path.with_name(f".{path.name}.checked")
    copy.unlink(missing_ok=True)  # of one that was killed
    try:
        if shutil.disk_usage(path.parent).free < _MORE * path.stat().st_size:
            yield path
            return
        try:
            copy_database(path, copy)
        except StoreBusy:
            raise
        except StoreError:  # the check reports what is damaged
            yield path
            return
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def roll_back(path: Path) -> None:
    """Undo the unfinished transaction of a killed process, so that the file needs no journal.

    Does nothing if it cannot be opened.
    """
    with suppress(sqlite3.Error), closing(_open(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")


def corruption(path: Path, beat: Callable[[], None] | None = None) -> list[str]:
    """Return the errors that SQLite finds in the pages, the indexes and the references.

    Nothing can write to the database meanwhile, which can take minutes: beside a service, check a
    copy. `beat` is called regularly. Raises StoreBusy.
    """
    try:
        with closing(_open(path)) as connection:
            connection.set_progress_handler(beat, _OPERATIONS)
            connection.execute(f"PRAGMA cache_size={_CACHE}")
            return list(_corruption(connection))
    except sqlite3.Error as error:
        if is_busy(error):
            raise StoreBusy(_BUSY) from error
        return [str(error)]


def _corruption(connection: sqlite3.Connection) -> Iterator[str]:
    yield from (
        str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"
    )
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a missing row of {parent}"


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_TIMEOUT)
