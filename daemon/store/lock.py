"""One service for each store: two on one database would do everything twice.

A lock on a file holds for the file and not for its name. So the lock file, the database and the
content folder are all locked, and a running service checks regularly whether the names still lead
to what it has locked: a file can be removed, replaced by a backup's, or moved away with its folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from daemon.core.errors import StoreError
from daemon.runtime.owner import make_folder, open_file

_log = structlog.get_logger(__name__)
_Inode = tuple[int, int]  # device and inode
_TRIES, _PAUSE = (
    5,
    0.02,
)  # seconds; one that asks whether the store is in use holds the lock briefly


def lock_path(database: Path) -> Path:
    """Return the path of the lock file."""
    return database.with_name(database.name + ".lock")


class InstanceLock:
    """A lock on the store, which the kernel releases when its holders end, however that happens.

    Not thread-safe.
    """

    def __init__(
        self, database: Path, content: Path | None = None, *, is_file: bool = True
    ) -> None:
        """Take the lock.

        `content` is the folder that no other store may share. Without `is_file`, `database` only
        begins the names of this machine's files, and what is locked is that a second service runs
        here. Raises StoreError if another process has locked any of it.
        """
        self._database, self._content, self._is_file = database, content, is_file
        self._path = lock_path(database)
        self._open: list[int] = []
        """Every descriptor. None is closed before the end: closing any descriptor of a database
        ends the locks that SQLite holds on it (fcntl(2)), and a file that has lost its name may
        still be in use.
        """
        self._locked: dict[Path, set[_Inode | None]] = {}
        """What is locked, by the name under which it was found."""
        self._unlockable: set[Path] = set()
        try:
            self._lock_file()
            self._lock_others()
        except BaseException:
            self.release()
            raise

    def look(self) -> str:
        """Check whether the store is still in its place, and lock what is new.

        Returns a problem that may pass, or an empty text. Raises StoreError if the store was
        replaced, or another process has locked it: it must not be used any more.
        """
        if self._is_file and (problem := self._file_problem()):
            return problem
        try:
            if not self._holds(self._path):
                self._lock_file()
                _log.warning(
                    "the lock file was removed or replaced; it is there again", path=str(self._path)
                )
            self._lock_others()
        except _CannotBeMade as error:
            return f"The store is no longer protected against a second service: {error}"
        return ""

    def _file_problem(self) -> str:
        if self._is_replaced(self._database):
            raise StoreError(
                f"the database {self._database} was replaced while the service was using "
                "the old one"
            )
        try:
            is_there = self._database.exists()
        except OSError as error:  # a folder on the way was closed
            return (
                f"The database {self._database} cannot be seen while the service is using it: "
                f"{(error.strerror or str(error)).lower()}; let the service's user enter its folder"
            )
        if not is_there:
            remedy = "stop the service, and put it back"
            return (
                f"The database {self._database} was removed or moved while the service is using "
                f"it; {remedy}"
            )
        return ""

    def write_holder(self, holder: str) -> None:
        """Write into the lock file who holds it, for `daemon.store.in_use`.

        It stays there when the holder has ended. On a full disk nothing is written.
        """
        with suppress(OSError):
            os.ftruncate(self._open[0], 0)
            os.pwrite(self._open[0], f"{holder}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock, after the database is closed. May be called twice."""
        while self._open:
            os.close(self._open.pop())

    def _lock_file(self) -> None:
        """Lock the file that has the name now, which may not be the one that was opened."""
        try:
            make_folder(self._path.parent)
            while not self._holds(self._path):
                self._lock(self._path, open_file(self._path, os.O_RDWR))
        except OSError as error:
            raise _CannotBeMade(
                f"the lock {self._path} cannot be created: {error.strerror}"
            ) from error

    def _lock_others(self) -> None:
        """Lock the database and the content folder, if they exist and the system can lock them."""
        for path in self._others():
            try:
                if path.exists() and not self._holds(path):
                    self._lock(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                self._report_unlockable(path, error)

    def _report_unlockable(self, path: Path, error: OSError) -> None:
        if path not in self._unlockable:
            self._unlockable.add(path)
            _log.warning(
                "what the lock file protects cannot be locked itself",
                path=str(path),
                reason=error.strerror,
            )

    def _others(self) -> Iterable[Path]:
        return (path for path in (self._is_file and self._database, self._content) if path)

    def _lock(self, path: Path, descriptor: int) -> None:
        """Lock.

        Raises StoreError if another process has locked it, OSError if it cannot be locked.
        """
        self._open.append(descriptor)
        try:
            _flock(descriptor)
        except BlockingIOError as error:
            remedy = (
                "stop the service first (`systemctl stop postmottak`), or end the other command, "
                "such as `postmottak run`"
            )
            raise StoreError(
                f"another postmottak is using {self._whose(path)}; {remedy}"
            ) from error
        self._locked.setdefault(path, set()).add(_inode(descriptor))

    def _whose(self, path: Path) -> Path:
        return self._database if path == self._path else path

    def _holds(self, path: Path) -> bool:
        """Whether the file that has this name now is locked by this process."""
        return _inode(path) in self._locked.get(path, ())

    def _is_replaced(self, path: Path) -> bool:
        found = _inode(path)
        return found is not None and path in self._locked and found not in self._locked[path]


def _flock(descriptor: int) -> None:
    """Lock it, also if another process is just asking whether it is locked. Raises OSError."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_PAUSE)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _CannotBeMade(StoreError):
    """The lock cannot be created, for another reason than another holder."""


def _inode(file: Path | int) -> _Inode | None:
    """Return what distinguishes a file from others of the same name; None if it is not seen."""
    try:
        found = os.fstat(file) if isinstance(file, int) else file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
