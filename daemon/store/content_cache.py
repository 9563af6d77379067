"""The files of a bucket that are on this machine: those that were stored or read last.

Several processes use the same folder. Nothing here is synced: what a power cut damages no longer
matches its name, and is fetched again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from daemon.runtime.owner import make_folder, open_file
from daemon.store.content import PREFIXES

_LOOK_AFTER = 16
"""The folder is looked through when this part of the limit was added, because others add, too."""
_REMEMBERED = 10_000


class _Compared(NamedTuple):
    """What tells that a file is still the one that was compared with its hash."""

    inode: int
    size: int
    changed: int


class _CachedFile(NamedTuple):
    used: int
    size: int
    path: str


class ContentCache:
    """A folder of hash-named files, with a limit on its size.

    May be used from several threads. All methods raise OSError.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Keep files in the folder, up to `limit` bytes, and those that are open."""
        self._folder, self._limit = folder, limit
        self._compared: dict[str, _Compared] = {}
        self._counting = threading.Lock()
        self._size = limit  # nobody knows, so the first addition looks
        self._added = limit

    def path(self, sha256: str) -> Path:
        """Return where the file is, or would be."""
        return self._folder / sha256[:2] / sha256

    def open(self, sha256: str) -> FileIO | None:
        """Open the file, which then stays until it is closed; None if it is not here or damaged."""
        try:
            file = FileIO(self.path(sha256))
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            if self._is_whole(sha256, file):
                _note_use(file)
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        self.forget(sha256)
        return None

    def take(self, sha256: str, temporary: str) -> FileIO:
        """Keep a file of the same file system that matches the hash; return it, opened."""
        file = FileIO(temporary)
        try:
            fcntl.flock(file, fcntl.LOCK_SH)  # before it can be found, and removed for room
            self._remember(sha256, file)
            path = self.path(sha256)
            make_folder(path.parent)
            Path(temporary).rename(path)
            self._make_room(os.fstat(file.fileno()).st_size)
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def held(self, sha256: str, file: FileIO) -> Iterator[Path | None]:
        """Yield the path of an opened file until the block ends; None if another has it now."""
        with file:
            path = self.path(sha256)
            try:
                same = os.path.sameopenfile(file.fileno(), descriptor := os.open(path, os.O_RDONLY))
                os.close(descriptor)
            except FileNotFoundError:
                same = False
            yield path if same else None

    def forget(self, sha256: str) -> None:
        """Remove the file; those who have opened it can read on."""
        self._compared.pop(sha256, None)
        self.path(sha256).unlink(missing_ok=True)

    def _is_whole(self, sha256: str, file: FileIO) -> bool:
        """Whether the file matches its name; compared once by each process, and after a change."""
        if self._compared.get(sha256) == _known(file):
            return True
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            return False
        file.seek(0)
        self._remember(sha256, file)
        return True

    def _remember(self, sha256: str, file: FileIO) -> None:
        if len(self._compared) >= _REMEMBERED:
            self._compared = {}
        self._compared[sha256] = _known(file)

    def _make_room(self, added: int) -> None:
        """Remove what was used longest ago, if the files may be larger than the limit together."""
        with self._counting:
            self._size += added
            self._added += added
            if self._size <= self._limit and self._added <= self._limit // _LOOK_AFTER:
                return
            with self._only_here() as alone:
                if alone:
                    self._size, self._added = self._shrink(), 0

    @contextmanager
    def _only_here(self) -> Iterator[bool]:
        """Keep other processes from doing the same."""
        descriptor = open_file(self._folder / "room.lock", os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)

    def _shrink(self) -> int:
        """Remove the oldest files that nobody reads; return the size of the rest."""
        entries = sorted(self._entries())
        size = sum(each.size for each in entries)
        for each in entries:
            if size <= self._limit:
                break
            if _removed(each.path):
                size -= each.size
        return size

    def _entries(self) -> Iterator[_CachedFile]:
        for prefix in PREFIXES:
            with suppress(FileNotFoundError), os.scandir(self._folder / prefix) as found:
                for each in found:
                    with suppress(FileNotFoundError):
                        facts = each.stat()
                        yield _CachedFile(facts.st_atime_ns, facts.st_size, each.path)


def _known(file: FileIO) -> _Compared:
    facts = os.fstat(file.fileno())
    return _Compared(facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _note_use(file: FileIO) -> None:
    """Set when it was used, which mounts without access times would not, and not when written."""
    with suppress(PermissionError):  # another user's, such as the service's for the page
        written = os.fstat(file.fileno()).st_mtime_ns
        os.utime(file.fileno(), ns=(time.time_ns(), written))


def _removed(path: str) -> bool:
    """Remove a file, unless somebody reads it. Returns whether it is gone."""
    try:
        with FileIO(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(path).unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True
