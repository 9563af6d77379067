"""Times in the headers of an HTTP response, above all how long the server asks not to be called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

_LONGEST = timedelta(days=1)


def retry_after(header: str, now: datetime) -> timedelta | None:
    """Return the wait that a Retry-After header asks for, in seconds or until a date.

    A date is read by the clock whose time is `now`. None if the header asks for no wait, zero if
    the time is over, and at most a day: a server that asks for years must not stop all calls until
    the letter is given up.
    """
    header = header.strip()
    if header.isascii() and header.isdigit():
        return timedelta(seconds=min(int(header[:9]), _LONGEST.total_seconds()))
    until = http_date(header)
    return min(max(until - now, timedelta()), _LONGEST) if until else None


@lru_cache(maxsize=16)  # the answers of one second have the same
def http_date(text: str) -> datetime | None:
    """Return the moment that a header names, or None."""
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
