"""Safe access to folders that others may write to as well.

No link in them is followed, no pipe is waited for, and nothing is taken for what it is not.
Everything is named relative to the descriptor of an open folder, so that what was checked is what
is used, wherever its path leads by then. A file is opened without waiting, because a named pipe
would block the caller, and checked again once it is open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DEEPEST = (
    16  # folders within each other that are removed; those of Postmottak's own making are one
)
_NO_SUCH_CALL = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
"""Errors of a rename whose target exists, and of removing a folder that is not empty."""
_NOT_THAT_KIND = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
_RENAME_NOREPLACE = 1  # linux/fs.h
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LINKED = "a file with another name elsewhere (a hard link)"


class Unfit(Exception):
    """Something that is not what is needed has this name.

    `what` it is, such as `a symbolic link`; `path` is where, for callers that cannot know.
    """

    def __init__(self, what: str, path: str = "") -> None:
        self.what, self.path = what, path
        super().__init__(what)


def kind(mode: int) -> str:
    """Return what something with this `st_mode` is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "something unknown")


def look(name: str, folder: int) -> os.stat_result | None:
    """Return what has the name in the open folder, or None. Raises OSError."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def open_folder(name: str, above: int) -> int:
    """Return the descriptor of a folder in an open one.

    Raises Unfit for anything else, FileNotFoundError, and OSError.
    """
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except OSError as error:
        found = look(name, above) if error.errno in _NOT_THAT_KIND else None
        if found is None:
            raise
        raise Unfit(kind(found.st_mode)) from error


def open_file(name: str, folder: int, *, sole: bool = False) -> int:
    """Return the descriptor of a regular file in an open folder, for reading.

    With `sole` it must have no other hard link. Raises Unfit for anything else, FileNotFoundError,
    and OSError. The file is checked before it is opened, because opening some devices has effects,
    and again afterwards, because it may have been exchanged.
    """
    found = look(name, folder)
    if found is None:
        raise FileNotFoundError(name)
    must_be_file(found, sole=sole)
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in _NOT_THAT_KIND:
            raise Unfit("no longer a file") from error
        raise
    with closed_on_failure(descriptor):
        must_be_file(os.fstat(descriptor), sole=sole)
    return descriptor


def must_be_file(found: os.stat_result, *, sole: bool = False) -> None:
    """Raise Unfit if it is not a regular file or, with `sole`, has another hard link."""
    if not stat.S_ISREG(found.st_mode):
        raise Unfit(kind(found.st_mode))
    if sole and found.st_nlink > 1:
        raise Unfit(_LINKED)


def remove_tree(name: str, above: int, deepest: int = _DEEPEST) -> None:
    """Remove a folder in an open one, with its contents.

    Raises Unfit if it is not a folder, or too deep, and OSError.
    """
    if not deepest:
        raise Unfit(f"more than {_DEEPEST} folders deep")
    folder = open_folder(name, above)
    try:
        for each in os.listdir(folder):  # noqa: PTH208  # a Path has no descriptor
            try:
                os.unlink(each, dir_fd=folder)
            except IsADirectoryError:
                remove_tree(each, folder, deepest - 1)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=above)


def rename_new(source: str, target: str, source_folder: int, target_folder: int) -> bool:
    """Rename in one step from one open folder to another, never over something else.

    Returns False if the name is taken. Raises OSError. Linux has a call for that, which some
    network file systems lack: there the name is checked first, which is enough as long as only
    Postmottak makes such names.
    """
    call = _renameat2()
    number = errno.ENOSYS
    if call is not None:
        if (
            call(
                source_folder,
                os.fsencode(source),
                target_folder,
                os.fsencode(target),
                _RENAME_NOREPLACE,
            )
            == 0
        ):
            return True
        number = ctypes.get_errno()
    if number in _NO_SUCH_CALL:
        return look(target, target_folder) is None and _rename(
            source, target, source_folder, target_folder
        )
    if number in TAKEN and look(target, target_folder) is not None:
        return False
    raise OSError(number, os.strerror(number))


def _rename(source: str, target: str, source_folder: int, target_folder: int) -> bool:
    try:
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise
    return True


@cache
def _renameat2() -> Any:
    """Return the C library's renameat2, or None if it has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


@contextmanager
def closed_on_failure(descriptor: int) -> Iterator[None]:
    """Close the descriptor if the block raises."""
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise
