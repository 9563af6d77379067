"""Journals that are kept while a copy of the database is made, so that no commit waits for it.

With a rollback journal a reader blocks every commit, so a copy must not read under a lock. It reads
the file as it is meanwhile, and undoes what was committed since it began: SQLite's journal of a
transaction has the earlier bytes of every page that it changes. While a copy is under way, writers
therefore give their journal a second name in the folder `DATABASE.copying` before they commit, and
use the journal mode DELETE, which removes the first name and leaves the bytes. The one that copies
holds the folder locked; when it has ended, however that was, the next writer removes the folder.

Format: SQLite, "Database File Format", section 3 (The Rollback Journal).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daemon.runtime.owner import make_folder

_OVER = ".over"  # the folder's name while it is removed
_HEADER = struct.Struct(">8s5I")  # magic, records, nonce, pages of the database, sector, page
_MAGIC = bytes.fromhex("d9d505f920a163d7")
_NUMBER = struct.Struct(">I")
_CHECKSUM = 4  # bytes after each page

Page = tuple[int, bytes]
"""The number of a page, from 1, and its bytes."""


class IncompleteJournalError(Exception):
    """A kept file is not the whole journal of one transaction."""


class JournalKeeper:
    """Keeps the journals of one database. For writers."""

    def __init__(self, database: Path) -> None:
        self._journal = database.with_name(f"{database.name}-journal")
        self._folder = folder_beside(database)

    def is_wanted(self) -> bool:
        """Whether a copy is under way.

        Ask inside the write transaction: a copy begins only between two of them.
        """
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(self._folder)  # of a copy that was killed
        except OSError:  # locked; or it cannot be locked, and nothing is lost by keeping one more
            return True
        finally:
            os.close(descriptor)
        return False

    def keep(self) -> None:
        """Keep the journal of the transaction that is about to be committed.

        What goes wrong here is not the writer's concern: the copy notices that a journal is missing
        and starts again.
        """
        with suppress(OSError):
            os.link(self._journal, self._folder / f"{os.getpid()}-{time.monotonic_ns()}")


def folder_beside(database: Path) -> Path:
    """Return the folder for kept journals, which is there while a copy is under way."""
    return database.with_name(f"{database.name}.copying")


@contextmanager
def kept_journals(database: Path) -> Iterator[Path]:
    """Let writers keep their journals until the block ends; yield the folder.

    A transaction that is under way when the block begins may not be kept. Waits for another copy.
    Raises OSError.
    """
    folder = folder_beside(database)
    descriptor = _locked(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """Make the folder, and return its descriptor, locked."""
    while True:
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        os.close(descriptor)  # it was another copy's, and has been removed


def _remove(folder: Path) -> None:
    """Remove the folder under another name, so that no writer puts a journal into it meanwhile."""
    over = folder.with_name(folder.name + _OVER)
    shutil.rmtree(over, ignore_errors=True)
    with suppress(OSError):
        folder.rename(over)
    shutil.rmtree(over, ignore_errors=True)


def ended(folder: Path) -> Iterator[Path]:
    """Yield the kept journals of transactions that have ended."""
    for path in folder.iterdir():
        if path.stat().st_nlink == 1:  # SQLite has removed the other name
            yield path


def pages_of(journal: Path, page_size: int) -> Iterator[Page]:
    """Yield the pages that a transaction changed, as they were before it.

    Raises IncompleteJournalError and OSError.
    """
    with journal.open("rb") as file:
        head = file.read(_HEADER.size).ljust(_HEADER.size, b"\0")
        magic, count, _, _, sector, size = _HEADER.unpack(head)
        length = page_size + _NUMBER.size + _CHECKSUM
        whole = (magic, size, sector + count * length)
        if whole != (_MAGIC, page_size, os.fstat(file.fileno()).st_size):
            raise IncompleteJournalError(journal)
        file.seek(sector)
        for _ in range(count):
            record = file.read(length)
            yield _NUMBER.unpack_from(record)[0], record[_NUMBER.size : -_CHECKSUM]
