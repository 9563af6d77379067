"""The sandbox's clock: the machine's, or as far ahead of or behind it as a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that can be wrong. `skew` may be set from any thread."""

    def __init__(self) -> None:
        self.skew = timedelta()

    def now(self) -> datetime:
        """Return the server's time, aware and in UTC."""
        return datetime.now(UTC) + self.skew

    def advance(self, by: timedelta) -> None:
        """Let time pass for the server only."""
        self.skew += by


def written(moment: datetime | None) -> str | None:
    """Return a time as the real platform writes it.

    It has an explicit +00:00, and the fraction without trailing zeros.
    """
    if moment is None:
        return None
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "+00:00"


def written_in_ticks(moment: datetime) -> str:
    """Return the same with a seventh digit.

    Some of the platform's times have one; Python's cannot hold it.
    """
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{text}{moment.microsecond % 9 + 1}+00:00"
