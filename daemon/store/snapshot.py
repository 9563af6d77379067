"""A copy of the database as it is at one moment, for which no commit waits.

The file is read without a lock while others write; what they change meanwhile is undone in the copy
by their journals (`daemon/store/kept_journals.py`). So the copy shows the moment when it began.
Each commit raises the counter in page 1 by one, and each journal has the page as it was: that shows
whether a journal is missing, as of a program that is not Postmottak. Then the copy starts again,
and the last attempt is made in one step, for which commits wait.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemon.core.callbacks import do_nothing
from daemon.core.durable_files import sync
from daemon.core.errors import StoreBusy, StoreError
from daemon.store.busy import is_busy
from daemon.store.kept_journals import (
    IncompleteJournalError,
    ended,
    kept_journals,
    pages_of,
)
from daemon.store.sqlite_file import BUSY, copy_in_one_step, new_copy, open_database

_PIECE = 1 << 20  # bytes that are read at once
_SYNCED = 16  # pieces, so that a commit does not have to wait for gigabytes on their way to a disk
_ATTEMPTS = 3
_HEADER = struct.Struct(">16x H 6x I I")  # page size, counter of changes, pages
_LARGEST = 65536  # the size of a page that is written as 1
_MORE = 1.1  # times the size of the database, for its copy
Report = Callable[[str], object]


def take_snapshot(source: Path, target: Path, report: Report = do_nothing) -> None:
    """Copy the database as it is now durably to a new file, while others use it.

    `report` is called regularly with what is being done. Call it in a process that does nothing
    else with the database meanwhile: POSIX drops its locks when the file is closed. Raises
    StoreError.
    """
    with new_copy(source, target):
        for _ in range(_ATTEMPTS):
            with suppress(_MissedError):
                _take(source, target, report)
                sync(target)
                return
            os.truncate(target, 0)
        copy_in_one_step(source, target)


@contextmanager
def copied(path: Path, report: Report = do_nothing) -> Iterator[Path]:
    """Yield a copy of the database beside it, for the block.

    If there is no room, or it cannot be copied, yield the database itself. As `take_snapshot`.
    """
    copy = path.with_name(f".{path.name}.checked")
    copy.unlink(missing_ok=True)  # of one that was killed
    try:
        if shutil.disk_usage(path.parent).free < _MORE * path.stat().st_size:
            yield path
            return
        try:
            take_snapshot(path, copy, report)
        except StoreBusy:
            raise
        except StoreError:  # the check reports what is damaged
            yield path
            return
        yield copy
    finally:
        copy.unlink(missing_ok=True)


class _MissedError(Exception):
    """Somebody wrote without keeping the journal."""


def _take(source: Path, target: Path, report: Report) -> None:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(kept_journals(source))
        except OSError as error:
            raise _MissedError from error  # as in a folder that may not be written
        raw = stack.enter_context(_opened(source, os.O_RDONLY))
        there = stack.enter_context(_opened(target, os.O_WRONLY))
        # closed first, because it has locks that would go with the file
        here = stack.enter_context(closing(open_database(source)))
        with _locked(here, "BEGIN IMMEDIATE"):  # whoever writes after this keeps the journals
            copy = _Snapshot(folder, raw, there, _head(raw))
        copy.fill(report)
        with _locked(here, "BEGIN"):
            last = _head(raw).changes
        copy.undo()
        if copy.undone < last:
            raise _MissedError


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _locked(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Keep commits away for the moment of the block. Raises StoreBusy."""
    try:
        connection.execute(begin)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        raise (StoreBusy(BUSY) if is_busy(error) else error) from error
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@dataclass(frozen=True)
class _Head:
    """What the beginning of a database says."""

    page: int
    changes: int
    pages: int


def _head(descriptor: int) -> _Head:
    size, changes, _ = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
    page = _LARGEST if size == 1 else size
    return _Head(page, changes, os.fstat(descriptor).st_size // page)


@dataclass
class _Snapshot:
    """A copy under way: what its pages were when it began."""

    folder: Path
    source: int
    target: int
    head: _Head
    undone: int = field(init=False)
    """The counter of changes up to which all journals were seen."""

    def __post_init__(self) -> None:
        self.undone = self.head.changes
        self._done = bytearray(self.head.pages)  # a 1 for each page that a journal has given

    def fill(self, report: Report) -> None:
        """Copy every page."""
        some = max(1, _PIECE // self.head.page)
        for number, first in enumerate(range(0, self.head.pages, some)):
            self._copy(first, min(first + some, self.head.pages))
            self.undo()
            if number % _SYNCED == 0:
                os.fdatasync(self.target)
            report(f"copying the database, {100 * first // self.head.pages} %")

    def _copy(self, first: int, end: int) -> None:
        """Copy these pages, but for those of which a journal has given the earlier bytes."""
        size = self.head.page
        data = memoryview(os.pread(self.source, (end - first) * size, first * size))
        if len(data) < (end - first) * size:
            raise _MissedError  # as after a VACUUM
        at = first
        while at < end:
            found = self._done.find(1, at, end)
            stop = end if found < 0 else found
            _write(self.target, data[(at - first) * size : (stop - first) * size], at * size)
            at = stop + 1

    def undo(self) -> None:
        """Undo in the copy what was committed since it began. Raises _MissedError."""
        try:
            journals = {path: self._changes_before(path) for path in ended(self.folder)}
            for path, changes in sorted(journals.items(), key=lambda each: each[1]):
                if changes > self.undone:
                    return  # the earlier one is there when the folder is read again
                self._put_back(path)
                self.undone = max(self.undone, changes + 1)
                path.unlink()
        except IncompleteJournalError as error:
            raise _MissedError from error

    def _changes_before(self, journal: Path) -> int:
        """Return the counter of changes before the transaction."""
        for number, page in pages_of(journal, self.head.page):
            if number == 1:
                return int(_HEADER.unpack_from(page)[1])
        raise IncompleteJournalError(journal)

    def _put_back(self, journal: Path) -> None:
        for number, page in pages_of(journal, self.head.page):
            if number <= self.head.pages and not self._done[number - 1]:
                _write(self.target, page, (number - 1) * self.head.page)
                self._done[number - 1] = 1


def _write(descriptor: int, data: bytes | memoryview, at: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, at)
        data, at = data[written:], at + written
