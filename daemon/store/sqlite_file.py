"""The database as a file: a copy of one that nobody writes, and its integrity.

Depends on SQLite, as `database` does.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from daemon.core.durable_files import sync
from daemon.core.errors import StoreBusy, StoreError
from daemon.core.file_owner import inherit
from daemon.store.busy import is_busy

_TIMEOUT = 30.0  # seconds that a busy database is waited for
BUSY = "the database is busy: another program keeps it locked; try again later"
_OPERATIONS = 1_000_000  # of SQLite, between two heartbeats: about 50 ms
_CACHE = -200_000  # kilobytes, because rows are looked up in the order of each index
BESIDE = ("", "-journal", "-wal", "-shm")
"""The endings of the database's files; SQLite would use another database's journal for this one."""


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that nobody writes durably to a new file. Raises StoreError."""
    with new_copy(source, target):
        copy_in_one_step(source, target)


@contextmanager
def new_copy(source: Path, target: Path) -> Iterator[None]:
    """Create the file for a copy, and remove it if the block raises. Raises StoreError."""
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        inherit(descriptor, target.parent)
        os.close(descriptor)
        try:
            yield
        except BaseException:
            target.unlink()  # on a full disk, half a copy would be in the way
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the database {source} cannot be copied to {target}: {error}") from error


def copy_in_one_step(source: Path, target: Path) -> None:
    """Copy the database durably to an empty file, at a gigabyte in about two seconds.

    No commit of others is made meanwhile. Raises StoreBusy, sqlite3.Error and OSError.
    """
    with closing(open_database(source)) as here, closing(sqlite3.connect(target)) as there:
        there.execute("PRAGMA journal_mode=OFF")  # half a copy is removed, not repaired
        there.execute("PRAGMA synchronous=OFF")  # synced as a whole afterwards
        here.backup(there, pages=-1, progress=_not_busy)
    sync(target)


def _not_busy(status: int, _left: int, _pages: int) -> None:
    if status == sqlite3.SQLITE_BUSY:  # after as long as the connection waits
        raise StoreBusy(BUSY)


def roll_back(path: Path) -> None:
    """Undo the unfinished transaction of a killed process, so that the file needs no journal.

    Does nothing if it cannot be opened.
    """
    with suppress(sqlite3.Error), closing(open_database(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")


def corruption(path: Path, beat: Callable[[], None] | None = None) -> list[str]:
    """Return the errors that SQLite finds in the pages, the indexes and the references.

    Nothing can write to the database meanwhile, which can take minutes: beside a service, check a
    copy. `beat` is called regularly. Raises StoreBusy.
    """
    try:
        with closing(open_database(path)) as connection:
            connection.set_progress_handler(beat, _OPERATIONS)
            connection.execute(f"PRAGMA cache_size={_CACHE}")
            return list(_corruption(connection))
    except sqlite3.Error as error:
        if is_busy(error):
            raise StoreBusy(BUSY) from error
        return [str(error)]


def _corruption(connection: sqlite3.Connection) -> Iterator[str]:
    yield from (
        str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"
    )
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a missing row of {parent}"


def open_database(path: Path) -> sqlite3.Connection:
    """Open the database, which exists, as a file that is waited for while it is busy."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_TIMEOUT)
