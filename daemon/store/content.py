"""The bytes of attachments: files named by their SHA-256, durable before anything refers to them.

A file is written under a temporary name while its hashes are computed (`stage`). Then it is synced,
renamed, and its folder synced, together with others (`publish`): without the last step a power cut
lost the newest file. The whole file is never in memory.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from io import FileIO
from itertools import chain
from pathlib import Path

from daemon.core.batch_sync import BatchSync
from daemon.core.errors import ContentMissing, DiskFull, StoreError
from daemon.runtime.owner import make_folder, open_file
from daemon.store.staging import Kept, Staged, StagingFile

PREFIXES = tuple(f"{number:02x}" for number in range(256))
"""The beginnings of hashes: the names of the content store's folders."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class ContentStore:
    """A folder of hash-named files.

    May be used from several threads. The service and its workers write; other processes use it
    `guarded`.
    """

    def __init__(self, folder: Path, writer: str = "") -> None:
        """Create the folder if it is missing; half-written files begin with `writer`.

        Raises StoreError.
        """
        self._folder, self._writer = folder, writer
        self._temporary = folder / "tmp"
        self._durable_folders: set[str] = set()
        self._syncing = threading.Lock()
        self._failures = 0
        self._batch_sync = BatchSync()
        try:
            make_folder(folder)
            make_folder(self._temporary)
            # open before anything is written, so that BatchSync learns of every failure
            self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._root)
        except OSError as error:
            raise StoreError(
                f"the content folder {folder} cannot be created: {error.strerror}"
            ) from error

    def put(self, chunks: Iterable[bytes]) -> Kept:
        """Store the bytes durably.

        Storing the same bytes again is harmless. Raises StoreError, DiskFull, or what `chunks`
        raises.
        """
        staged = self.stage(chunks)
        self.publish([staged])
        return staged.kept

    def stage(self, chunks: Iterable[bytes]) -> Staged:
        """Write the bytes, for `publish` or `discard`. Raises as `put` does."""
        file = self.begin()
        try:
            for chunk in chunks:
                file.write(chunk)
            return file.end()
        except BaseException:
            file.discard()
            raise

    def begin(self) -> ContentFile:
        """Begin a file, for `publish` or `discard` when it has ended. Raises StoreError."""
        with self._errors_named():
            file = StagingFile(self._temporary, self._failures, self._writer)
            return ContentFile(file, self._errors_named)

    def publish(self, staged: Sequence[Staged]) -> None:
        """Make the bytes durable, give them their names, and make these durable too.

        On failure nothing that was staged is left behind, and what has its name may stay, because
        no letter refers to it. Raises StoreError and DiskFull.
        """
        try:
            with self._errors_named():
                self._sync([each.temporary for each in staged], staged)
                folders = set(chain.from_iterable(map(self._name, staged)))
                self._sync(folders, staged)
                self._durable_folders |= folders
        except BaseException:
            self.discard(staged)
            raise

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove the bytes, unless they have been published."""
        for each in staged:
            Path(each.temporary).unlink(missing_ok=True)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kind = DiskFull if error.errno in _FULL else StoreError
            raise kind(
                f"the content folder {self._folder} cannot be written: {error.strerror}"
            ) from error

    def _sync(self, paths: Collection[str], staged: Sequence[Staged]) -> None:
        """Sync files or folders. A failure counts for everything that is being staged.

        The kernel reports it once, and it may be another thread's bytes that it could not write.
        """
        with self._syncing:
            if any(each.failures != self._failures for each in staged):
                raise OSError(errno.EIO, "an earlier write failed")
            try:
                self._batch_sync.sync_paths(self._root, paths)
            except OSError:
                self._failures += 1
                raise

    def _name(self, staged: Staged) -> Iterator[str]:
        """Give the file its name, and yield the folders that are to be synced for that.

        What another thread has published, or created a folder for, may not be durable yet, so its
        folder is synced again.
        """
        sha256 = staged.kept.sha256
        folder = f"{self._folder}/{sha256[:2]}"
        if folder not in self._durable_folders:
            make_folder(Path(folder))
            yield str(self._folder)
        final = f"{folder}/{sha256}"
        with _names_locked(Path(folder)):
            if os.path.exists(final):  # noqa: PTH110  # a Path for each file costs more than this
                # needed again, by a letter that may not be stored yet: `remove` leaves it alone
                os.utime(final)
                Path(staged.temporary).unlink()
            else:
                os.rename(staged.temporary, final)  # noqa: PTH104  # likewise
        yield folder

    def open(self, sha256: str) -> FileIO:
        """Open the bytes for reading, without a buffer: they are read in large pieces.

        Raises ContentMissing if they are not there, and StoreError if they cannot be read.
        """
        try:
            return open(  # noqa: PTH123  # a Path for each file costs as much as opening it
                f"{self._folder}/{sha256[:2]}/{sha256}", "rb", buffering=0
            )
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
            with _names_locked(path.parent):
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

    def remove_temporaries(self, writer: str = "") -> None:
        """Remove half-written files of a killed process; with `writer`, only those of that one.

        Call it only when the process has ended.
        """
        for leftover in self._temporary.iterdir():
            if leftover.name.startswith(writer):
                leftover.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        """Return the path of the bytes, for reading only."""
        return self._folder / sha256[:2] / sha256


@contextmanager
def _names_locked(folder: Path) -> Iterator[None]:
    """Let no other thread or process give or remove names in this folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, alone: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True


class ContentFile:
    """A file that is being written. Its methods raise StoreError and DiskFull. For one thread."""

    def __init__(
        self, file: StagingFile, errors_named: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._file, self._errors_named = file, errors_named

    def write(self, chunk: bytes) -> None:
        """Add a piece."""
        with self._errors_named():
            self._file.write(chunk)

    def end(self) -> Staged:
        """Return what was written."""
        with self._errors_named():
            return self._file.end()

    def discard(self) -> None:
        """Remove what was written. May be called twice."""
        with self._errors_named():
            self._file.discard()
