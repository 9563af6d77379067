"""Replaces a text file at once, or not at all, and leaves it to those who could use it before."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from daemon.core.durable_files import new_file, sync, write_all
from daemon.core.file_owner import inherit


def replace_text(path: Path, text: str) -> None:
    """Replace the file's text, also through a symbolic link; its owner and its mode stay.

    Raises OSError.
    """
    target = path.resolve()
    _put(target, text.encode(), target.stat())


def replace_and_keep(path: Path, text: str) -> Path:
    """Do the same, and keep the file as it was beside it, with its owner, mode and time.

    Without an earlier file, a new one gets the owner of its folder, and nothing is kept. Returns
    where the earlier file is kept. Raises OSError.
    """
    target, old = path.resolve(), path.with_name(f"{path.name}.old")
    if not target.exists():
        with new_file(target) as file:
            inherit(file.fileno(), target.parent)
            file.write(text.encode())
        return old
    before = target.stat()
    _put(old, target.read_bytes(), before)
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))
    _put(target, text.encode(), before)
    return old


def _put(target: Path, data: bytes, like: os.stat_result) -> None:
    """Put a file of this owner and mode in the place of whatever has the name."""
    half = target.with_name(f".{target.name}.half")
    with suppress(FileNotFoundError):
        half.unlink()
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(descriptor, data)
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, like.st_mode & 0o7777)
        os.fsync(descriptor)
        half.replace(target)
    finally:
        os.close(descriptor)
        half.unlink(missing_ok=True)
    sync(target.parent)
