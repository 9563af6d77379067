"""Times of day in Norway, as people write them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import BeforeValidator

from daemon.core.times import NORWAY, in_utc


def time_of_day(value: object) -> str:
    """Return a time of day such as `"07:30"`, also from TOML's own type. Raises ValueError."""
    if isinstance(value, time) and not (value.second or value.microsecond):
        return f"{value:%H:%M}"
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return value
    raise ValueError('is not a valid time of day; write hours and minutes, such as "07:30"')


TimeOfDay = Annotated[str, BeforeValidator(time_of_day)]
"""Hours and minutes, such as `07:30`."""


def at_time_of_day(day: date, at: str) -> datetime:
    """Return when it is that time on a day in Norway, in UTC.

    A time that comes twice that day is the first one; one that is left out is an hour later.
    """
    local = datetime.combine(day, time.fromisoformat(at), NORWAY)
    return in_utc(local).astimezone(UTC)
