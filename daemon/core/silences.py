"""When a sender that was regular has fallen silent, by its own history. Pure.

A sender is regular if, in the year that ends with its last letter, it has sent letters on at least
six different days, over at least thirty days. It has fallen silent when its last letter is longer
ago than three times its longest pause in that year, and longer than a week. A sender that has sent
nothing for a year is not waited for any longer.

Days are counted, so that many letters on one day are one, and a pause is never shorter than a day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

YEAR = timedelta(days=365)
LETTERS = 6
_LEAST_SPAN = timedelta(days=30)
_LEAST_SILENCE = timedelta(days=7)
_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class SenderSilence:
    """That a sender has fallen silent."""

    since: date
    """The day of its last letter."""
    longest: timedelta
    """Its longest pause in the year before."""


def silence(days: Iterable[date], today: date) -> SenderSilence | None:
    """Return since when a sender is silent; None if it is not, or never was regular.

    `days` are those of its letters, in any order. Days that have not come are not looked at.
    """
    past = sorted({day for day in days if day <= today})
    if not past:
        return None
    last = past[-1]
    year = [day for day in past if last - day < YEAR]
    if len(year) < LETTERS or last - year[0] < _LEAST_SPAN:
        return None
    longest = max(later - earlier for earlier, later in pairwise(year))
    is_silent = max(_LEAST_SILENCE, _TIMES * longest) < today - last <= YEAR
    return SenderSilence(since=last, longest=longest) if is_silent else None


def is_over(since: date, days: Iterable[date], today: date) -> bool:
    """Return whether the silence that began after `since` is over: by a letter, or after a year.

    So neither a clock that was set back ends it, nor that retention has deleted its history.
    """
    return today - since > YEAR or any(day > since for day in days)
