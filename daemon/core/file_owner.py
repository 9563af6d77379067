"""Gives files that root creates to the owner of the folder they lie in.

The service runs as a user of its own, which cannot read or write what is root's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def inherit(target: int | Path, folder: Path) -> None:
    """Give what was just created, by its descriptor or its path, to the owner of `folder`.

    A link is never followed. A file system that keeps no owners is left as it is. For every user
    but root, nothing is done.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        found = folder.stat()
        if isinstance(target, int):
            os.fchown(target, found.st_uid, found.st_gid)
        else:
            os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
