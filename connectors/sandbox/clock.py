"""The sandbox's time: the machine's, or as far ahead of or behind it as a test wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that can be wrong. Setting `skew` is safe from any thread."""

    def __init__(self) -> None:
        self.skew = timedelta()

    def now(self) -> datetime:
        """The time that this server believes in, aware and in UTC."""
        return datetime.now(UTC) + self.skew

    def advance(self, by: timedelta) -> None:
        """Let time pass for the server, and for nobody else."""
        self.skew += by


def written(moment: datetime | None) -> str | None:
    """A time as the real platform writes it: an explicit +00:00, and as much of the fraction as is not zero."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "+00:00"


def written_in_ticks(moment: datetime) -> str:
    """The same with a seventh digit, which some of the platform's times have and Python's cannot hold."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{text}{moment.microsecond % 9 + 1}+00:00"
