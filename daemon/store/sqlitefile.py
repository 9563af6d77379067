"""The database as a file: a copy of it at one moment, and whether it is sound. Knows SQLite, as `engine` does."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from daemon.durable import sync
from daemon.errors import StoreError


def copy_database(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment, also while others work with it, durably, to a new file.

    Others' writes wait until the copy is made. Raises StoreError.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            _copy(source, target)
        except BaseException:
            target.unlink()  # on a full disk, half a copy would be in the way
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the database {source} cannot be copied to {target}: {error}") from error


def _copy(source: Path, target: Path) -> None:
    with closing(_open(source)) as here, closing(sqlite3.connect(target)) as there:
        there.execute("PRAGMA journal_mode=OFF")  # half a copy is removed, and not mended
        there.execute("PRAGMA synchronous=OFF")  # synced as a whole below
        here.backup(there)
    sync(target)


def roll_back(path: Path) -> None:
    """Undo what a process that was killed had begun to write, so that the file stands by itself. Does nothing where it cannot be opened."""
    with suppress(sqlite3.Error), closing(_open(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")


def damage(path: Path) -> list[str]:
    """What SQLite's own checks say against the database: its pages, its indexes, and rows that refer to what is not there."""
    try:
        with closing(_open(path)) as connection:
            return list(_damage(connection))
    except sqlite3.Error as error:
        return [str(error)]


def _damage(connection: sqlite3.Connection) -> Iterator[str]:
    yield from (str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that is not there"


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
