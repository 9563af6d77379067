"""The bytes of attachments in a folder, of this machine or one that several share.

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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from io import FileIO
from itertools import chain
from pathlib import Path

from daemon.core.batch_sync import BatchSync
from daemon.core.callbacks import do_nothing
from daemon.core.errors import ContentMissing, DiskFull, StoreError
from daemon.runtime.owner import make_folder
from daemon.store.content import ContentStore, guarded, missing
from daemon.store.staging import FULL, ContentFile, Staged, StagingFile, errors_named, remove_files

_GONE = frozenset({errno.ENOENT, errno.ESTALE})


class ContentFolder(ContentStore):
    """A folder of hash-named files."""

    def __init__(self, folder: Path, writer: str = "", node: str | None = None) -> None:
        """Create the folder if it is missing; half-written files begin with `writer`.

        With the name of a `node`, other machines share the folder: half-written files are in a
        folder of this node's own, and the system's locks, which may not reach the others, do not
        count. Raises StoreError.
        """
        self.place, self._folder, self._writer = str(folder), folder, writer
        self._is_shared = node is not None
        self._temporary = folder / "tmp" / node if node else folder / "tmp"
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

    def begin(self) -> ContentFile:
        """Begin a file in the folder for half-written ones."""
        with self._errors_named():
            file = StagingFile(self._temporary, self._failures, self._writer)
            return ContentFile(file, self._errors_named)

    def publish(self, staged: Sequence[Staged]) -> None:
        """Sync the files, rename them, and sync their folders."""
        try:
            with self._errors_named():
                self._sync([each.temporary for each in staged], staged)
                folders = set(chain.from_iterable(map(self._name, staged)))
                self._sync(folders, staged)
                self._durable_folders |= folders
        except BaseException:
            self.discard(staged)
            raise

    def _errors_named(self) -> AbstractContextManager[None]:
        return errors_named(f"the content folder {self._folder} cannot be written")

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
        with nullcontext() if self._is_shared else _names_locked(Path(folder)):
            if self._keeps(final, sha256):
                Path(staged.temporary).unlink()
            else:
                os.rename(staged.temporary, final)  # noqa: PTH104  # a Path for each costs more
        yield folder

    def _keeps(self, final: str, sha256: str) -> bool:
        """Whether the file has its name already, and its bytes; then it counts as needed again.

        A letter that may not be stored yet needs it, so `remove` leaves it alone. To set its time
        is a question to the server of a shared folder, where to look for it may be answered by this
        machine's memory.
        """
        try:
            os.utime(final)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return False
        return not self.fault(sha256)

    def open(self, sha256: str, beat: Callable[[], None] = do_nothing) -> FileIO:  # noqa: ARG002
        """Open the file itself."""
        try:
            return open(  # noqa: PTH123  # a Path for each file costs as much as opening it
                f"{self._folder}/{sha256[:2]}/{sha256}", "rb", buffering=0
            )
        except FileNotFoundError as error:
            raise missing(sha256, self.place) from error
        except OSError as error:
            kind = DiskFull if error.errno in FULL else StoreError
            raise kind(
                f"the content {sha256} in {self._folder} cannot be read: {error.strerror}"
            ) from error

    @contextmanager
    def local_file(self, sha256: str) -> Iterator[Path]:
        """Yield the path of the file itself."""
        path = self.path(sha256)
        if not path.is_file():
            raise missing(sha256, self.place)
        yield path

    def has(self, sha256: str) -> bool:
        """Whether the file can be opened."""
        # opened, because another machine's removal may be seen only then
        try:
            self.open(sha256).close()
        except ContentMissing:
            return False
        return True

    def kept(self, prefix: str) -> set[str]:
        """Return the names in the prefix's folder."""
        folder = self._folder / prefix
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def is_older(self, sha256: str, before: datetime) -> bool:
        """Compare with the file's time."""
        try:
            return self.path(sha256).stat().st_mtime < before.timestamp()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{self.path(sha256)} cannot be read: {error.strerror}") from error

    def remove(self, sha256: str, before: datetime) -> int:
        """Remove the file, while no other thread or process of this node gives it its name."""
        path = self.path(sha256)
        try:
            with nullcontext() if self._is_shared else _names_locked(path.parent):
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
        """Read the file, and compare."""
        try:
            with self.path(sha256).open("rb") as file:
                return (
                    "" if hashlib.file_digest(file, "sha256").hexdigest() == sha256 else "damaged"
                )
        except FileNotFoundError:
            return "missing"
        except OSError as error:
            return (error.strerror or "cannot be read").lower()

    def guarded(self, *, alone: bool) -> AbstractContextManager[bool]:
        """Lock a file in the folder."""
        return guarded(self._folder, alone=alone)

    def remove_temporaries(self, writer: str = "") -> None:
        """Remove what is in the folder for half-written files."""
        remove_files(self._temporary, writer)

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
