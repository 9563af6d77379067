"""When an attachment that could not be fetched is asked for again, and when no more. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon.core.missing_files import Lack

_FIRST, _LONGEST = timedelta(minutes=1), timedelta(hours=12)
_LONGEST_ASKED = timedelta(days=1)
GIVEN_UP_AFTER = timedelta(days=14)
"""How long an attachment is asked for: less and less often, some forty times."""


def next_try(*, since: datetime, now: datetime, lack: Lack) -> datetime | None:
    """Return when to ask again for what is missing since then; None for not by itself.

    The wait is as long as it has been missing, from a minute to half a day, or as long as the
    server asked for, up to a day.
    """
    if not lack.retry or now - since >= GIVEN_UP_AFTER:
        return None
    wait = min(max(now - since, _FIRST), _LONGEST)
    return now + max(wait, min(lack.wait or timedelta(), _LONGEST_ASKED))
