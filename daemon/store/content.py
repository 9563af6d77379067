"""The bytes of attachments: files named by their SHA-256, durable before anything refers to them.

A file is written under a temporary name while its hashes are computed, synced, renamed, and its
folder synced: without the last step a power cut lost the newest file. The whole file is never in
memory.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader
from pathlib import Path

from daemon.core.durable_files import sync, write_all
from daemon.core.errors import ContentMissing, DiskFull, StoreError
from daemon.core.file_owner import inherit
from daemon.runtime.owner import make_folder, open_file

PREFIXES = tuple(f"{number:02x}" for number in range(256))
"""The beginnings of hashes: the names of the content store's folders."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What has been stored."""

    sha256: str
    md5: str
    size: int
    """In bytes."""


class ContentStore:
    """A folder of hash-named files.

    May be used from several threads. One process writes; others use it `guarded`.
    """

    def __init__(self, folder: Path) -> None:
        """Create the folder if it is missing. Raises StoreError."""
        self._folder = folder
        self._temporary = folder / "tmp"
        self._durable_folders: set[Path] = set()
        self._naming = threading.Lock()
        try:
            make_folder(folder)
            make_folder(self._temporary)
        except OSError as error:
            raise StoreError(
                f"the content folder {folder} cannot be created: {error.strerror}"
            ) from error

    def put(self, chunks: Iterable[bytes]) -> Kept:
        """Store the bytes durably.

        Storing the same bytes again is harmless. Raises StoreError, DiskFull, or what `chunks`
        raises.
        """
        try:
            return self._put(chunks)
        except _SourceFailed as failed:
            raise failed.error from None
        except OSError as error:
            kind = DiskFull if error.errno in _FULL else StoreError
            raise kind(
                f"the content folder {self._folder} cannot be written: {error.strerror}"
            ) from error

    def _put(self, chunks: Iterable[bytes]) -> Kept:
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        inherit(descriptor, self._temporary)
        try:
            kept = _copy(chunks, descriptor)
            self._publish(Path(name), self.path(kept.sha256))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return kept

    def _publish(self, temporary: Path, final: Path) -> None:
        """Give the file its name.

        What another thread has published, or created a folder for, may not be durable yet, so it
        is synced again.
        """
        folder = final.parent
        if folder not in self._durable_folders:
            make_folder(folder)
            sync(self._folder)
            self._durable_folders.add(folder)
        with self._naming:
            if final.exists():
                # needed again, by a letter that may not be stored yet: `remove` leaves it alone
                os.utime(final)
                temporary.unlink()
            else:
                temporary.rename(final)
        sync(folder)

    def open(self, sha256: str) -> BufferedReader:
        """Open the bytes for reading.

        Raises ContentMissing if they are not there, and StoreError if they cannot be read.
        """
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError as error:
            remedy = "restore it from a backup, and the delivery continues"
            raise ContentMissing(
                f"the content {sha256} is not in {self._folder}; {remedy}"
            ) from error
        except OSError as error:
            kind = DiskFull if error.errno in _FULL else StoreError
            raise kind(
                f"the content {sha256} in {self._folder} cannot be read: {error.strerror}"
            ) from error

    def kept(self, prefix: str) -> set[str]:
        """Return the hashes that begin with the two digits `prefix` and whose bytes are here."""
        folder = self._folder / prefix
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def remove(self, sha256: str, before: datetime) -> int:
        """Remove bytes that no letter needs, unless they were last stored at `before` or later.

        Returns how many bytes were removed; 0 if they stay. Raises StoreError.
        """
        path = self.path(sha256)
        try:
            with self._naming:
                found = path.stat()
                if found.st_mtime >= before.timestamp():
                    return 0
                path.unlink()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise StoreError(f"{path} cannot be removed: {error.strerror}") from error
        return found.st_size

    def fault(self, sha256: str) -> str:
        """Return what is wrong with the bytes: `missing`, `damaged`, or why they cannot be read.

        Empty if they match their name.
        """
        try:
            with self.path(sha256).open("rb") as file:
                return (
                    "" if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else "damaged"
                )
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            return (error.strerror or "cannot be read").lower()

    @contextmanager
    def guarded(self, *, alone: bool) -> Iterator[bool]:
        """Prevent others, in this and other processes, from removing bytes.

        Or, with `alone`, get the right to remove them; it does not wait, and yields False while
        there are readers. Raises StoreError.
        """
        path = self._folder / "removal.lock"
        try:
            descriptor = open_file(path, os.O_RDWR)
        except OSError as error:
            kind = DiskFull if error.errno in _FULL else StoreError
            raise kind(f"the lock {path} cannot be created: {error.strerror}") from error
        try:
            yield _locked(descriptor, alone=alone)
        finally:
            os.close(descriptor)

    def remove_temporaries(self) -> None:
        """Remove half-written files of a killed process. Call it only while no other one writes."""
        for leftover in self._temporary.iterdir():
            leftover.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        """Return the path of the bytes, for reading only."""
        return self._folder / sha256[:2] / sha256


def _locked(descriptor: int, *, alone: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True


class _SourceFailed(Exception):
    """The source failed, not the content store."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _source_errors_marked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks; their OSErrors must not be mistaken for those of our own files."""
    try:
        yield from chunks
    except OSError as error:
        raise _SourceFailed(error) from error


def _copy(chunks: Iterable[bytes], descriptor: int) -> Kept:
    """Write the chunks, sync the file, and close it."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        for chunk in _source_errors_marked(chunks):
            write_all(descriptor, chunk)
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Kept(sha256=sha256.hexdigest(), md5=md5.hexdigest(), size=size)
