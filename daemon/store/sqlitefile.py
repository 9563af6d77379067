"""The database as a file: a copy of it at one moment, and whether it is sound. Knows SQLite, as `engine` does."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from daemon.errors import StoreError


def copy_database(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment, also while others work with it, durably, to a new file.

    Others' writes wait until the copy is made. Raises StoreError.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_open(source)) as here, closing(sqlite3.connect(target)) as there:
            there.execute("PRAGMA synchronous=OFF")  # synced as a whole below
            here.backup(there)
        descriptor = os.open(target, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the database {source} cannot be copied to {target}: {error}") from error


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
