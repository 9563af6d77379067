"""Arithmetic on times that never overflows: what would lie beyond the ends of the calendar is its first or last moment.

Senders and their systems write 0001-01-01 and 9999-12-31, and Norway is an hour or two ahead of
UTC. Pure.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NORWAY = ZoneInfo("Europe/Oslo")
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
_MIDDLE = 5000  # a year, for telling which end of the calendar is near


def shifted(moment: datetime, by: timedelta) -> datetime:
    """`moment`, aware, and `by` later, or earlier if that is negative.

    At most the first or last moment there is, in `moment`'s zone.
    """
    try:
        return moment + by
    except OverflowError:
        return (LAST if by > timedelta() else FIRST).replace(tzinfo=moment.tzinfo)


def in_utc(moment: datetime) -> datetime:
    """The same moment, aware, in UTC; at most the first or last one there is."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return LAST if moment.year > _MIDDLE else FIRST


def in_norway(moment: datetime) -> datetime:
    """The same moment, aware, in Norway; at most the first or last one there is."""
    try:
        return moment.astimezone(NORWAY)
    except OverflowError:
        return (LAST if moment.year > _MIDDLE else FIRST).replace(tzinfo=NORWAY)


def written(moment: datetime, form: str) -> str:
    """The moment as `strftime` has it, with four digits for every year, which C leaves to the system."""
    return moment.strftime(form.replace("%Y", f"{moment.year:04d}"))


def norwegian_day(moment: datetime) -> date:
    """The day that it is in Norway."""
    return in_norway(moment).date()
