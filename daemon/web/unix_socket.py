"""A Unix socket to listen on, which replaces only a socket that no process listens on any more.

It gets its name by a rename, so that a client that finds it can connect, and finds it with its
final mode; the old one stays until then.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

_MODE = 0o660


class UnixSocket:
    """Listens at `path` until the block ends, and leaves nothing there.

    Entering it raises OSError if the path is not available.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    def __enter__(self) -> socket.socket:
        try:
            self._listen()
        except BaseException:
            self._socket.close()
            raise
        return self._socket

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # it has been removed already
            if self._ours == _inode(self._path):
                self._path.unlink()
        self._socket.close()

    def _listen(self) -> None:
        _refuse_taken(self._path)
        new = self._path.with_name(f".{self._path.name}.new")
        new.unlink(missing_ok=True)
        self._socket.bind(str(new))
        new.chmod(_MODE)
        self._socket.listen()
        self._ours = _inode(new)
        new.rename(self._path)


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _refuse_taken(path: Path) -> None:
    """Raise OSError if anything but a socket on which no process listens has the path."""
    if not os.path.lexists(path):
        return
    if not path.is_socket():
        raise FileExistsError(errno.EEXIST, "something other than a socket is there; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(1)
        try:
            trial.connect(str(path))
        except ConnectionRefusedError:
            return
    raise OSError(errno.EADDRINUSE, "something else listens there")
