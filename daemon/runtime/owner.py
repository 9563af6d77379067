"""Keeps the store its owner's when root works with it.

The service runs as a user of its own, and an operator often as root. A file that root leaves in the
store would stop the service. So whatever root creates there gets the owner and the group of the
folder it lies in (`daemon/core/file_owner.py`), and a command that does the service's own work goes
on as that owner (`become_owner_of`). SQLite gives its journals the owner of the database by itself
(os_unix.c, robustFchown).

For every user but root, all of this does nothing.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daemon.core.errors import OperatorError
from daemon.core.file_owner import inherit

_PR_SET_KEEPCAPS = 8  # prctl.h
_CAPABILITY_VERSION = 0x20080522  # capability.h, version 3: two sets of 32
_READ_SEARCH = 1 << 2  # CAP_DAC_READ_SEARCH: capabilities(7)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Create the folder and those above it, if they are missing. Raises OSError."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent, 0o777)  # as `mkdir -p` does; the umask narrows it
    try:
        folder.mkdir(mode)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        inherit(folder, folder.parent)


def create_file(path: Path, mode: int = 0o600) -> None:
    """Create an empty file. One that exists is not opened. Raises OSError."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        inherit(descriptor, path.parent)
        os.close(descriptor)


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file, and create it if it is missing; return its descriptor. Raises OSError."""
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)
    inherit(descriptor, path.parent)
    return descriptor


def nearest_folder(path: Path) -> Path:
    """Return the folder, or the nearest one above it that this process can see.

    What lies in a folder that may not be entered counts as missing.
    """
    path = path.absolute()
    # Path.is_dir raises PermissionError there before Python 3.14
    return next((each for each in (path, *path.parents) if os.path.isdir(each)), Path("/"))  # noqa: PTH112


def become_owner_of(folder: Path) -> str:
    """Go on as the owner of the folder, or of the nearest one above it that exists, for good.

    Where root may read everything, this process still may, such as a key of root's and its own
    program below /root, but write only what the owner may. It cannot become root again.

    Returns the owner's name; an empty text if nothing changed: for other users than root, and where
    root is the owner. Call it before the process has threads. Raises OperatorError if root may not
    become another user: end the process then, for it may be the owner by half.
    """
    if os.geteuid() != 0:
        return ""
    found = nearest_folder(folder).stat()
    if found.st_uid == 0:
        return ""
    groups = groups_of(found.st_uid, found.st_gid)
    try:
        with _still_reading():
            os.setgroups(groups)
            os.setgid(groups[0])
            os.setuid(found.st_uid)
    except OSError as error:
        reason = f"root may not become {user_name(found.st_uid)}, who owns the store"
        raise OperatorError(f"{reason}; {how_to_become(found.st_uid, groups[0])}") from error
    return user_name(found.st_uid)


def how_to_become(user: int, group: int) -> str:
    """Return what to do where root lacks the rights for it: capabilities(7)."""
    return (
        f"run the command as that user (in a container: --user {user}:{group}), or give root the "
        "capabilities SETUID and SETGID"
    )


@contextmanager
def _still_reading() -> Iterator[None]:
    """Keep one capability of root's, that to read, when the block makes another user of it.

    All others are lost; this one as well without the system's calls for that, or where root has
    not got it, as in most containers. Raises OSError if the others could not be given up.
    """
    system = ctypes.CDLL(None, use_errno=True)
    try:
        prctl, capset = system.prctl, system.capset
    except AttributeError:
        yield  # the kernel takes them all: capabilities(7)
        return
    prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    yield
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    for kept in (_READ_SEARCH, 0):
        if capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) == 0:
            return
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def groups_of(user: int, otherwise: int) -> list[int]:
    """Return the user's groups, the primary one first; only `otherwise` for an unknown user."""
    try:
        known = pwd.getpwuid(user)
    except KeyError:
        return [otherwise]
    others = os.getgrouplist(known.pw_name, known.pw_gid)
    return [known.pw_gid, *(each for each in others if each != known.pw_gid)]


def user_name(user: int) -> str:
    """Return the user's name, or the number of one that has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
