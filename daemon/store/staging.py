"""A file of the content store while its bytes come, before it has a name."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.core.durable_files import write_all
from daemon.core.errors import DiskFull, StoreError
from daemon.core.file_kinds import HEAD
from daemon.core.file_owner import inherit

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGE = 8 << 20
"""Bytes of a file that is synced at once, so that smaller ones need not wait for it later."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What the system says when it has no space, open files or memory left."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What has been stored."""

    sha256: str
    md5: str
    size: int
    """In bytes."""


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Bytes that are written, and neither durable nor under their name yet."""

    kept: Kept
    head: bytes
    """The first `HEAD` bytes, or fewer if there are no more."""
    temporary: str
    """The path. A `Path` for each file, and `tempfile`, cost more than to open it."""
    failures: int
    """How many syncs had failed before the first byte was written."""


class StagingFile:
    """Takes the bytes of one file, and hashes them. For one thread. All methods raise OSError."""

    def __init__(
        self, folder: Path, failures: int, writer: str = "", *, early_sync: bool = True
    ) -> None:
        """Create the file; with `early_sync`, a large one is synced at its end."""
        self._failures, self._early_sync = failures, early_sync
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self._size, self._head = 0, b""
        self._temporary = f"{folder}/{writer}{secrets.token_hex(8)}"
        self._descriptor = os.open(self._temporary, _NEW, 0o600)
        inherit(self._descriptor, folder)

    def write(self, chunk: bytes) -> None:
        """Add a piece."""
        write_all(self._descriptor, chunk)
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self._size += len(chunk)
        if len(self._head) < HEAD:
            self._head += chunk[: HEAD - len(self._head)]

    def end(self) -> Staged:
        """Return what was written. If that fails, nothing is left."""
        try:
            if self._early_sync and self._size >= _LARGE:
                os.fsync(self._descriptor)
        except OSError:
            self.discard()
            raise
        self._close()
        kept = Kept(sha256=self._sha256.hexdigest(), md5=self._md5.hexdigest(), size=self._size)
        return Staged(
            kept=kept, head=self._head, temporary=self._temporary, failures=self._failures
        )

    def discard(self) -> None:
        """Remove what was written. May be called twice."""
        self._close()
        Path(self._temporary).unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


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


@contextmanager
def errors_named(what: str) -> Iterator[None]:
    """Raise DiskFull or StoreError for an OSError; `what` says what could not be done."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in FULL else StoreError
        raise kind(f"{what}: {error.strerror}") from error


def remove_files(folder: Path, writer: str) -> None:
    """Remove the half-written files whose names begin with `writer`; not the folders of others."""
    for leftover in folder.iterdir():
        if leftover.name.startswith(writer) and not leftover.is_dir():
            leftover.unlink(missing_ok=True)
