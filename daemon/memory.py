"""How this process handles its memory: large blocks are given back, and what stays for good is not looked through again and again.

glibc raises the size from which it maps a block by itself, up to 32 MiB, whenever such a block is freed (mallopt(3)); a few large letters
at a time then stay in its arenas, one arena for each thread. A fixed size keeps the process small.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # malloc.h
_FROM = 4 << 20  # bytes; more than the pieces in which files are read
_GARBAGE_AFTER = 20_000
"""Objects that are made before Python looks for garbage, instead of 700: a few letters' worth, some megabytes at most."""


def return_large_blocks() -> None:
    """Have it so for this process. Does nothing where the C library is another one; may be called again."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _FROM)


def spare_what_stays() -> None:
    """Leave all that is in memory now, modules and settings, out of the search for garbage, and search more seldom.

    It took a tenth of a letter's processor time. May be called again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER)
