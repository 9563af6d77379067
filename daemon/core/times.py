"""Arithmetic on times that saturates at the first and last moment of the calendar.

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
    """Return the aware `moment` shifted by `by`, which may be negative.

    Saturates at the first or last moment, in `moment`'s zone.
    """
    try:
        return moment + by
    except OverflowError:
        return (LAST if by > timedelta() else FIRST).replace(tzinfo=moment.tzinfo)


def has_passed(wait: timedelta, since: datetime | None, now: datetime) -> bool:
    """Return whether it was at least `wait` ago; also if it never was.

    Something that lies ahead counts as never: a clock that was wrong meanwhile has dated it.
    """
    return since is None or not timedelta() <= now - since < wait


def in_utc(moment: datetime) -> datetime:
    """Return the same moment, aware, in UTC; saturates."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return LAST if moment.year > _MIDDLE else FIRST


def in_norway(moment: datetime) -> datetime:
    """Return the same moment, aware, in Norway; saturates."""
    try:
        return moment.astimezone(NORWAY)
    except OverflowError:
        return (LAST if moment.year > _MIDDLE else FIRST).replace(tzinfo=NORWAY)


def written(moment: datetime, form: str) -> str:
    """Format like `strftime`, with four digits for every year, which C leaves to the system."""
    return moment.strftime(form.replace("%Y", f"{moment.year:04d}"))


def norwegian_day(moment: datetime) -> date:
    """Return the day in Norway."""
    return in_norway(moment).date()
