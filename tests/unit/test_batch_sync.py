"""How a batch becomes durable: one wait for the file system where that is as good, and never a
failure that goes unnoticed."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from daemon.core import batch_sync
from daemon.core.batch_sync import BatchSync

MANY, FEW = 40, 3


class Library:
    """Stands in for the C library: what `syncfs` and `fstatfs` answer."""

    def __init__(self, kind: int = 0xEF53, failure: int = 0) -> None:
        self.kind, self.failure, self.calls = kind, failure, 0

    def fstatfs(self, _: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
        """Say of which kind the file system is."""
        ctypes.c_ulong.from_buffer(buffer).value = self.kind
        return 0

    def syncfs(self, _: int) -> int:
        """Count the call, and fail as told."""
        self.calls += 1
        ctypes.set_errno(self.failure)
        return -1 if self.failure else 0


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were synced one by one."""
    found: list[int] = []
    monkeypatch.setattr(os, "fsync", found.append)
    return found


@contextmanager
def opened(folder: Path, number: int) -> Iterator[list[int]]:
    """Open so many new files."""
    with ExitStack() as files:
        yield [
            files.enter_context((folder / str(each)).open("wb")).fileno() for each in range(number)
        ]


def with_library(monkeypatch: pytest.MonkeyPatch, library: Library | None) -> None:
    monkeypatch.setattr(batch_sync, "_library", lambda: library)


@pytest.mark.parametrize(
    ("library", "number", "one_by_one"),
    [
        (Library(), MANY, False),
        (Library(), FEW, True),
        (Library(kind=0x01021994), MANY, True),
        (None, MANY, True),
    ],
    ids=["many", "few", "unknown file system", "no such call"],
)
def test_one_wait_where_it_is_as_good(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    synced: list[int],
    library: Library | None,
    number: int,
    *,
    one_by_one: bool,
) -> None:
    """Many files of a known file system take one call, everything else a sync for each."""
    with_library(monkeypatch, library)
    with opened(tmp_path, number) as files:
        BatchSync().sync(files[0], files)
        assert synced == (files if one_by_one else [])
    assert library is None or library.calls == (not one_by_one)


def test_a_kernel_that_hides_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[int]
) -> None:
    """Before Linux 5.8 `syncfs` reported no failed writes, so each file is synced there."""
    library = Library()
    with_library(monkeypatch, library)
    monkeypatch.setattr(batch_sync, "_kernel_reports_errors", lambda: False)
    with opened(tmp_path, MANY) as files:
        BatchSync().sync(files[0], files)
        assert (synced, library.calls) == (files, 0)


def test_a_failure_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system could not write is an error with its number."""
    with_library(monkeypatch, Library(failure=errno.EIO))
    with opened(tmp_path, MANY) as files, pytest.raises(OSError, match="Input/output") as raised:
        BatchSync().sync(files[0], files)
    assert raised.value.errno == errno.EIO


def test_a_slow_file_system_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[int]
) -> None:
    """Where one wait took long, as beside a program that writes gigabytes, letters wait for their
    own files only, and after a while it is tried again."""
    library, times = Library(), iter([0.0, 0.0, 5.0, 5.0, 6.0, 70.0, 70.0, 70.1])
    with_library(monkeypatch, library)
    monkeypatch.setattr(batch_sync, "_now", lambda: next(times))
    sync = BatchSync()
    with opened(tmp_path, MANY) as files:
        for _ in range(3):
            sync.sync(files[0], files)
        assert (synced, library.calls) == (files, 2)


def test_what_is_written_is_there(tmp_path: Path) -> None:
    """With this machine's own library, many files are synced without an error."""
    with opened(tmp_path, MANY) as files:
        for each in files:
            os.write(each, b"a letter")
        BatchSync().sync(files[0], files)
    assert all((tmp_path / str(each)).read_bytes() == b"a letter" for each in range(MANY))
