"""The bytes of attachments: files named by their SHA-256, durable before anybody is told that they are there.

A file is written under a temporary name while its hashes are computed, synced, renamed, and its folder synced: without the last
step a power cut lost the newest file. The bytes are never in memory as a whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from daemon.errors import ContentMissing, DiskFull, StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is now in the content store."""

    sha256: str
    md5: str
    size: int
    """In bytes."""


class ContentStore:
    """A folder of hash-named files; may be used from several threads, for writing by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing. Raises StoreError."""
        self._folder = folder
        self._temporary = folder / "tmp"
        self._durable_folders: set[Path] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._temporary.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"the content folder {folder} cannot be made: {error.strerror}") from error

    def put(self, chunks: Iterable[bytes]) -> Kept:
        """Keep the bytes durably. Keeping the same bytes again is harmless. Raises StoreError, DiskFull, or what `chunks` raises."""
        try:
            return self._put(chunks)
        except _SourceFailed as failed:
            raise failed.error from None
        except OSError as error:
            kind = DiskFull if error.errno in _FULL else StoreError
            raise kind(f"the content folder {self._folder} cannot be written: {error.strerror}") from error

    def _put(self, chunks: Iterable[bytes]) -> Kept:
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                kept = _copy(chunks, file)
            self._publish(Path(name), self.path(kept.sha256))
        finally:
            Path(name).unlink(missing_ok=True)
        return kept

    def _publish(self, temporary: Path, final: Path) -> None:
        """Give the file its name. What another thread has published, or made a folder for, may not be durable yet: sync all the same."""
        if final.parent not in self._durable_folders:
            final.parent.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(self._folder)
            self._durable_folders.add(final.parent)
        if not final.exists():
            temporary.rename(final)
        _sync_folder(final.parent)

    def open(self, sha256: str) -> BinaryIO:
        """Open the bytes for reading. Raises ContentMissing if they are not there, and StoreError if they cannot be read."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError as error:
            remedy = "bring it back from a backup, and the delivery goes on"
            raise ContentMissing(f"the content {sha256} is not in {self._folder}; {remedy}") from error
        except OSError as error:
            raise StoreError(f"the content {sha256} in {self._folder} cannot be read: {error.strerror}") from error

    def remove_temporaries(self) -> None:
        """Remove what a process that was killed left half-written. Only for a caller that knows itself to be alone."""
        for leftover in self._temporary.iterdir():
            leftover.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the bytes are, for reading only."""
        return self._folder / sha256[:2] / sha256


class _SourceFailed(Exception):
    """What went wrong is the source's, and none of the content store's."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _told_apart(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks; their OSErrors must not be taken for those of our own files."""
    try:
        yield from chunks
    except OSError as error:
        raise _SourceFailed(error) from error


def _copy(chunks: Iterable[bytes], file: BinaryIO) -> Kept:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for chunk in _told_apart(chunks):
        file.write(chunk)
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    file.flush()
    os.fsync(file.fileno())
    return Kept(sha256=sha256.hexdigest(), md5=md5.hexdigest(), size=size)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
