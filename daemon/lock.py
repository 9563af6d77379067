"""One process for each store: two that fetch and deliver from one database would do everything twice."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from daemon.errors import StoreError


class InstanceLock:
    """A lock file beside the database; the kernel lets go of it when its holder ends, however that happens."""

    def __init__(self, database: Path) -> None:
        """Take the lock. Raises StoreError if another process has it."""
        path = database.with_name(database.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the lock {path} cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise StoreError(
                f"another postmottak works with {database}; the service polls and deletes by itself, so stop it before you do that by hand"
            ) from error

    def release(self) -> None:
        """Let go of the lock. Call it once."""
        os.close(self._descriptor)
