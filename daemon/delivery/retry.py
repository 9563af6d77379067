"""When a deferred delivery, or mark, is tried again, and when it is given up. Pure.

The wait grows with a delivery's age as Postfix's does: it is as long as the delivery has been
waiting, between a floor and a ceiling, so that attempts become rarer. A delivery is given up by its
age, never by the number of attempts.
"""

from __future__ import annotations

from datetime import datetime, timedelta

FLOOR = timedelta(minutes=1)
CEILING = timedelta(hours=1)
LONGEST_ASKED = timedelta(days=1)
_JITTER = 0.2
LONGEST = CEILING * (1 + _JITTER)
"""No delivery waits longer, unless the receiver has asked for it."""


def next_attempt(
    *,
    created_at: datetime,
    now: datetime,
    retry_after: timedelta | None,
    chance: float,
    ceiling: timedelta = CEILING,
) -> datetime:
    """Return when to try again after a temporary failure at `now`.

    `ceiling` is the longest wait, not counting the spread. `chance`, from 0 to 1, spreads attempts
    that failed together; `retry_after` is the shortest wait that the receiver asked for, and is
    granted up to a day.
    """
    wait = min(max(now - created_at, FLOOR), ceiling)
    wait += wait * _JITTER * chance
    return now + max(wait, min(retry_after or timedelta(), LONGEST_ASKED))


def is_too_old(*, created_at: datetime, now: datetime, give_up_after: timedelta) -> bool:
    """Whether a delivery that has failed again is given up."""
    return now - created_at >= give_up_after
