"""Files that survive a power cut; a new file appears complete under its name or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def sync(path: Path | str) -> None:
    """Wait until the file's bytes, or the folder's entries, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes; a single call may write fewer on a nearly full disk. Raises OSError."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


@contextmanager
def new_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Write a new file, which is durable and has its name when the block ends.

    If the block raises, nothing is left. `mode` is narrowed by the umask. Raises FileExistsError if
    the file exists, and OSError, which names a file, in any other case. A kill leaves at most a
    hidden `.NAME.half` beside it, which the next attempt removes.
    """
    half = path.with_name(f".{path.name}.half")
    if half.exists():
        half.unlink()
    if path.exists():
        raise FileExistsError(path)
    try:
        with os.fdopen(os.open(half, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_name(half, path)
        sync(path.parent)
    except OSError as error:
        if error.filename in {None, str(half)}:  # a write that fails does not say where
            error.filename = str(path)
        raise
    finally:
        half.unlink(missing_ok=True)


def _give_name(half: Path, path: Path) -> None:
    """Give the file its name, unless another file has it by now: a link never replaces."""
    try:
        os.link(half, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here, as on a USB stick
        half.rename(path)
