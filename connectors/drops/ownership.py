"""The owner, group and mode of a drop's files on this machine, where the file system has them.

A share that is mounted here (CIFS, FUSE) may keep no owners and modes, and refuse to set any. A
mode that is not configured is then left as the share has it: files are never created with a wider
mode than wanted. A mode that is configured is required, and nothing is dropped without it.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from daemon.core.errors import TemporaryFailure

_REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_RIGHTS = 0o777


@dataclass(frozen=True, kw_only=True)
class Access:
    """The owner, group and mode of files.

    None leaves the owner or the group as the system sets it.
    """

    mode: int = 0o640
    mode_is_asked_for: bool = False
    """Whether the configuration sets the mode."""
    owner: int | None = None
    group: int | None = None

    @property
    def folder_mode(self) -> int:
        """The mode of a folder: readers of its files may enter it, its owner may write there."""
        return self.mode | (self.mode & 0o444) >> 2 | stat.S_IWUSR | stat.S_IXUSR

    @property
    def hidden_mode(self) -> int:
        """The mode of the service's own folder, in which only the service may write."""
        return self.folder_mode & ~(stat.S_IWGRP | stat.S_IWOTH)

    def hand_over_file(self, descriptor: int, place: str) -> None:
        """Give a new file its owner, group and mode.

        Raises TemporaryFailure if a configured one is refused, and OSError.
        """
        self._give_away(descriptor, place)
        self._set_mode(descriptor, self.mode, place)

    def hand_over_folder(self, descriptor: int, place: str) -> None:
        """Do the same for a new folder, which keeps its setgid bit."""
        self._give_away(descriptor, place)
        self._set_mode(
            descriptor, self.folder_mode | os.fstat(descriptor).st_mode & stat.S_ISGID, place
        )

    def close_to_others(self, descriptor: int) -> None:
        """Give the service's own folder its mode, where modes can be set. Raises OSError."""
        try:
            os.chmod(descriptor, self.hidden_mode)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise

    def _give_away(self, descriptor: int, place: str) -> None:
        if (self.owner, self.group) == (None, None):
            return
        try:
            os.chown(
                descriptor,
                -1 if self.owner is None else self.owner,
                -1 if self.group is None else self.group,
            )
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            found = os.fstat(descriptor)
            if self.owner in {None, found.st_uid} and self.group in {None, found.st_gid}:
                return  # as on a share that is mounted for them
            raise TemporaryFailure(
                f"files in the drop folder {place} may not be given to the configured owner or "
                "group; run the service with CAP_CHOWN, or leave owner and group out"
            ) from error

    def _set_mode(self, descriptor: int, mode: int, place: str) -> None:
        try:
            os.chmod(descriptor, mode)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            if not self.mode_is_asked_for or (os.fstat(descriptor).st_mode ^ mode) & _RIGHTS == 0:
                return
            raise TemporaryFailure(
                f"the drop folder {place} refuses to give its files the mode {self.mode:04o}, "
                "as some shares do; leave mode out of the configuration, "
                "or mount the share with that mode (file_mode and dir_mode of CIFS)"
            ) from error
