"""Makes what a batch of letters has written durable, with as few waits for the disk as possible.

`syncfs` writes a whole file system in one go, which for some tens of files takes as long as a few
`fsync` calls. It also writes what other programs have left unwritten there, so a file system on
which it was slow is left to `fsync` for a while.

It is used where it is known to do as much as `fsync` on each file and folder: on ext4, XFS and
btrfs (`sync_filesystem` in fs/sync.c and each one's `sync_fs`), since Linux 5.8, which reports what
could not be written to those who had opened the file system before (syncfs(2), errseq_t).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from collections.abc import Collection
from functools import cache
from typing import Any

_KNOWN = frozenset({0xEF53, 0x58465342, 0x9123683E})  # ext4, XFS, btrfs: statfs(2)
_REPORTS_ERRORS = (5, 8)
_FROM = 12
"""Files and folders from which on one call is made: more than a usual letter has."""
_SLOW, _LEAVE_ALONE = 1.0, 60.0  # seconds
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class BatchSync:
    """Syncs files and folders of one file system. May be used from several threads."""

    def __init__(self) -> None:
        self._left_alone_until = 0.0

    def sync(self, opened_before: int, descriptors: Collection[int]) -> None:
        """Return when what the descriptors stand for is durable. Raises OSError.

        `opened_before` is the descriptor of a folder of their file system that was open before
        anything was written: errors are reported to it. Where a share supports no sync at all,
        nothing is done.
        """
        if not self._synced_together(opened_before, len(descriptors)):
            for each in descriptors:
                sync_one(each)

    def sync_paths(self, opened_before: int, paths: Collection[str]) -> None:
        """Do the same for files and folders that are not open."""
        if not self._synced_together(opened_before, len(paths)):
            for path in paths:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    sync_one(descriptor)
                finally:
                    os.close(descriptor)

    def _synced_together(self, opened_before: int, many: int) -> bool:
        if many < _FROM or not self._is_wanted(opened_before):
            return False
        began = _now()
        _sync_file_system(opened_before)
        if _now() - began > _SLOW:
            self._left_alone_until = _now() + _LEAVE_ALONE
        return True

    def _is_wanted(self, folder: int) -> bool:
        return _now() >= self._left_alone_until and can_sync_file_system(folder)


def _now() -> float:
    return time.monotonic()


def sync_one(descriptor: int) -> None:
    """Sync a file or a folder, unless its share does not support that. Raises OSError."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def can_sync_file_system(descriptor: int) -> bool:
    """Whether one call makes everything on the file system durable, and reports errors."""
    library, buffer = _library(), ctypes.create_string_buffer(512)
    if not (library and _kernel_reports_errors()) or library.fstatfs(descriptor, buffer):
        return False
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF in _KNOWN


def _sync_file_system(descriptor: int) -> None:
    if _library().syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _kernel_reports_errors() -> bool:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return found is not None and (int(found[1]), int(found[2])) >= _REPORTS_ERRORS


@cache
def _library() -> Any:
    """Return the C library, or None if it lacks the calls."""
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "syncfs") and hasattr(library, "fstatfs") else None
