"""Working days in Norway, and terms that are counted in them. Pure.

A working day is neither a Saturday nor a Sunday nor a public holiday. The holidays are those of the
library `holidays` for Norway (Lov om 1 og 17 mai som høgtidsdager; Lov om helligdager og
helligdagsfred); Christmas Eve and New Year's Eve are working days.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from daemon.core.durations import duration, duration_text
from daemon.core.times import FIRST, LAST, in_norway, in_utc, shifted

MOST_WORKING_DAYS = 1000
"""The longest term in working days, about four years."""
_SATURDAY = 5
_ONE_DAY = timedelta(days=1)


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    from holidays.countries.norway import Norway  # imported late: a quarter of a second

    return frozenset(Norway(years=year, observed=False))


def is_working_day(day: date) -> bool:
    """Return whether people are at work on this day."""
    return day.weekday() < _SATURDAY and day not in _holidays(day.year)


@lru_cache(maxsize=4096)  # many letters came on few days
def day_after_working_days(day: date, count: int) -> date:
    """Return the working day `count` working days after `day`, or before it if negative.

    Zero gives the day itself, or the next working day. A day off counts as the next working day,
    or counted backwards, as the last one before it. Saturates at the ends of the calendar.
    """
    step = _ONE_DAY if count >= 0 else -_ONE_DAY
    try:
        while not is_working_day(day):
            day += step
        for _ in range(abs(count)):
            day += step
            while not is_working_day(day):
                day += step
    except OverflowError:
        return date.max if count >= 0 else date.min
    return day


def after_working_days(moment: datetime, count: int) -> datetime:
    """Return the same hour in Norway `count` working days later, or earlier if negative; in UTC.

    A moment on a day off counts as the same hour of the next working day, or counted backwards, of
    the last one before it. So one working day after a letter there has always been a whole one.
    """
    local = in_norway(moment)
    day = day_after_working_days(local.date(), count)
    if day in {date.max, date.min}:
        return LAST if count >= 0 else FIRST
    return in_utc(datetime.combine(day, local.timetz())).astimezone(UTC)


def working_days_between(first: date, last: date) -> int:
    """Return how many working days come after `first` up to and with `last`.

    It is negative if `last` is the earlier one.
    """
    if last < first:
        return -working_days_between(last, first)
    days = (last - first).days
    return sum(is_working_day(first + timedelta(days=number)) for number in range(1, days + 1))


@dataclass(frozen=True)
class Term:
    """How long something may take: in working days, or by the clock."""

    working_days: int = 0
    elapsed: timedelta = timedelta()
    """Used if there are no working days."""

    def __str__(self) -> str:
        """Return the term as `term` reads it."""
        return f"{self.working_days}wd" if self.working_days else duration_text(self.elapsed)

    def after(self, moment: datetime) -> datetime:
        """Return when the term ends that begins at an aware moment."""
        if self.working_days:
            return after_working_days(moment, self.working_days)
        return shifted(in_utc(moment), self.elapsed)

    def before(self, moment: datetime) -> datetime:
        """Return when the term began that ends at an aware moment."""
        if self.working_days:
            return after_working_days(moment, -self.working_days)
        return shifted(in_utc(moment), -self.elapsed)


def term(text: object) -> Term:
    """Parse a term such as `"2wd"` (working days), `"8h"` or `"14d"`. Raises ValueError."""
    if isinstance(text, Term):
        return text
    found = re.fullmatch(r"([0-9]{1,4})wd", text) if isinstance(text, str) else None
    if found and 1 <= int(found[1]) <= MOST_WORKING_DAYS:
        return Term(working_days=int(found[1]))
    try:
        elapsed = duration(text)
    except ValueError as error:
        raise ValueError(
            "is not a valid time; write a whole number and wd (working days), d, h or m, such as "
            '"2wd" or "8h"'
        ) from error
    if not elapsed:
        raise ValueError('must be longer than zero; write for example "2wd"')
    return Term(elapsed=elapsed)


WorkingTerm = Annotated[Term, BeforeValidator(term), PlainSerializer(str)]
"""A term, written `"2wd"` or `"8h"`."""
