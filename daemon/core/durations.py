"""Lengths of time as people write them in configuration, tables and on the command line. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

FOREVER = timedelta.max
"""The retention time of what is never deleted."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: object) -> timedelta:
    """Parse a duration such as `"90s"`, `"5m"`, `"12h"` or `"7d"`. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    found = re.fullmatch(r"([0-9]+)([smhd])", text) if isinstance(text, str) else None
    if not found:
        raise ValueError(
            'is not a valid duration; write a whole number and s, m, h or d, such as "5m"'
        )
    try:
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    except OverflowError as error:
        raise ValueError('is too long a duration; write a shorter one, such as "30d"') from error


def duration_text(length: timedelta) -> str:
    """Return a duration as `duration` reads it: `"5d"`, `"90s"`.

    A retention time is in days, or `"forever"`.
    """
    if length == FOREVER:
        return "forever"
    seconds = int(length.total_seconds())
    unit = next((unit for unit in "dhm" if seconds % _UNITS[unit] == 0), "s")
    return f"{seconds // _UNITS[unit]}{unit}"
