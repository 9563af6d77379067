"""Times as numbers, which SQLite compares fast: microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT = timedelta(microseconds=1)


def to_number(moment: datetime) -> int:
    """Return an aware time as a number."""
    return (moment - _START) // _UNIT


def from_number(number: int) -> datetime:
    """Return the time in UTC."""
    return _START + number * _UNIT
