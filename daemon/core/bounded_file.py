"""Files that an operator names, which may be anything: a device never ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path

LONGEST = 16_000_000  # bytes; a thousand times what a large table takes


def read_bounded(path: Path) -> bytes:
    """Return the bytes of a file that a person wrote. Raises OSError, also if it is too large."""
    with path.open("rb") as file:
        found = file.read(LONGEST + 1)
    if len(found) > LONGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return found


def read_text_bounded(path: Path) -> str:
    """Return the text of a UTF-8 file, without its byte order mark, and with plain line feeds.

    Raises OSError, UnicodeDecodeError.
    """
    text = read_bounded(path).decode("utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")
