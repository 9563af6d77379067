"""A calendar of deadlines as a file that other programs read again and again (RFC 5545).

A deadline keeps its UID for ever. With each change its SEQUENCE grows and LAST-MODIFIED is later,
so programs take it over; one that is over is there as cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from daemon.core.printable import without_controls

_PRODUCT = "-//Postmottak//Deadlines//EN"
_AGAIN = timedelta(hours=1)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class CalendarEntry:
    """A deadline in a calendar: a whole day, on which nobody is busy."""

    letter: UUID
    day: date
    summary: str
    description: str
    url: str
    revision: int
    changed_at: datetime
    is_certain: bool
    is_over: bool


def calendar_bytes(name: str, entries: Iterable[CalendarEntry]) -> bytes:
    """Return the file, in UTF-8. What letters say is text in it, and never a line of its own."""
    from icalendar import Calendar  # imported late: most pages need none

    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", _plain(name))
    calendar.add("refresh-interval", _AGAIN, parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    begin, end, after = bytes(calendar.to_ical()).partition(b"END:VCALENDAR")
    return b"".join([begin, *map(_event, entries), end, after])


@lru_cache(maxsize=5000)  # most have not changed since a program asked last
def _event(entry: CalendarEntry) -> bytes:
    from icalendar import Event

    changed_at = entry.changed_at.astimezone(UTC).replace(microsecond=0)
    event = Event()
    event.add("uid", f"{entry.letter}@postmottak")
    event.add("dtstamp", changed_at)
    event.add("last-modified", changed_at)
    event.add("sequence", entry.revision)
    event.add("dtstart", entry.day)
    if entry.day < date.max:  # a sender's last day of the calendar has no day after it
        event.add("dtend", entry.day + _ONE_DAY)
    event.add("summary", _plain(entry.summary))
    event.add("description", _plain(entry.description))
    event.add("url", entry.url)
    event.add("transp", "TRANSPARENT")
    event.add("status", _status(entry))
    return bytes(event.to_ical())


def _status(entry: CalendarEntry) -> str:
    if entry.is_over:
        return "CANCELLED"
    return "CONFIRMED" if entry.is_certain else "TENTATIVE"


def _plain(text: str) -> str:
    return " ".join(without_controls(text).split())
