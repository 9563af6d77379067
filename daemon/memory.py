"""Gives large blocks of memory back when they are freed.

glibc raises the size from which it maps a block by itself, up to 32 MiB, whenever such a block is freed (mallopt(3)); a few large letters
at a time then stay in its arenas, one arena for each thread. A fixed size keeps the process small.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # malloc.h
_FROM = 4 << 20  # bytes; more than the pieces in which files are read


def return_large_blocks() -> None:
    """Have it so for this process. Does nothing where the C library is another one; may be called again."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _FROM)
