"""The desk of deadlines, from the index alone: what is open, by when, and what has ended lately.

Letters are counted by profile, as `daemon.page.search.finder` does it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from daemon.core.deadlines import DeadlineSource, DeskGroup, group_ends
from daemon.core.times import FIRST, LAST, shifted
from daemon.page.search.finder import FoundLetter, Limits, found_letter
from daemon.page.search.index import SearchIndex
from daemon.page.search.moments import from_number, to_number
from daemon.page.search.profiles import Profile, Profiles, covered
from daemon.page.search.reading import COLUMNS, within_profiles
from daemon.page.search.schema import BY_DEFAULT, ENDED, OPEN

BY_SYSTEM = DeadlineSource.SENDER_DEFAULT.value
"""The group of what sending systems wrote by themselves, whenever it is due."""
GROUPS = (*(each.value for each in DeskGroup), BY_SYSTEM)
LATEST_FIRST = frozenset({DeskGroup.OVERDUE.value, BY_SYSTEM})
"""Groups of which the latest deadline comes first."""
MOST_EVENTS = 1000
"""In a calendar: those nearest to now."""
_STILL_TOLD = timedelta(days=30)  # that a deadline is over
_CURSOR = re.compile(r"-?\d{1,18}\.\d{1,18}", re.ASCII)
_MORE = ", desk_at, revision, changed_at, number"
_OF_EVENT = 4
"""Columns of `_MORE`."""


@dataclass(frozen=True, kw_only=True)
class DeskLetter:
    """A letter with a deadline, and what a calendar needs to take a change over."""

    letter: FoundLetter
    due_at: datetime
    """Also after a person said that nothing is due."""
    revision: int
    changed_at: datetime
    cursor: str


@dataclass(frozen=True, kw_only=True)
class DeskPart:
    """The letters of a group: how many, and the first of them."""

    group: str
    total: int
    letters: Sequence[DeskLetter]
    after: str | None
    """Where the rest begins; None if there is none."""


class DeadlineDesk:
    """Finds open deadlines that are within a user's limits. May be used from several threads.

    Of a recipient's name, only that recipient's letters are asked for. Every method raises
    SearchTooSlow and SearchFault.
    """

    def __init__(
        self, index: SearchIndex, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._index = index
        self._clock = clock
        self._profiles = Profiles()

    def look(self, limits: Limits, limit: int, recipient: str = "") -> list[DeskPart]:
        """Return all groups, each with at most `limit` letters, in the order of the deadlines."""
        spans = _spans(self._clock())
        with self._index.read() as connection:
            profiles = self._allowed(connection, limits, recipient)
            return [
                _part(connection, profiles, spans[group], limit, None, with_total=True)
                for group in GROUPS
            ]

    def group(
        self, group: str, limits: Limits, after: str | None, limit: int, recipient: str = ""
    ) -> DeskPart:
        """Return a page of one of `GROUPS`. `after` is as in a part; a malformed one is nothing."""
        span = _spans(self._clock())[group]
        with self._index.read() as connection:
            profiles = self._allowed(connection, limits, recipient)
            return _part(connection, profiles, span, limit, after, with_total=True)

    def open(self, limits: Limits, recipient: str = "") -> list[DeskLetter]:
        """Return the open deadlines that are nearest to now, `MOST_EVENTS` at most."""
        found: list[DeskLetter] = []
        spans = _spans(self._clock())
        with self._index.read() as connection:
            profiles = self._allowed(connection, limits, recipient)
            for group in (*GROUPS[1:], GROUPS[0]):
                left = MOST_EVENTS - len(found)
                part = _part(connection, profiles, spans[group], left, None, with_total=False)
                found += part.letters
        return found

    def ended(self, limits: Limits, recipient: str = "") -> list[DeskLetter]:
        """Return the deadlines that were dropped or handled in the last 30 days."""
        since = to_number(shifted(self._clock(), -_STILL_TOLD))
        with self._index.read() as connection:
            profiles = self._allowed(connection, limits, recipient)
            within, values = within_profiles(profiles)
            rows = connection.execute(
                f"SELECT {COLUMNS}{_MORE} FROM letter INDEXED BY letter_by_end "  # noqa: S608
                f"WHERE desk = {ENDED} AND changed_at >= ? {within} "
                "ORDER BY changed_at DESC, number DESC LIMIT ?",
                [since, *values, MOST_EVENTS],
            ).fetchall()
        return [_letter(row, profiles) for row in rows]

    def recipients(self, limits: Limits) -> list[str]:
        """Return the recipients of all letters within the limits, by name."""
        with self._index.read() as connection:
            profiles = self._allowed(connection, limits, "")
        return sorted({name for each in profiles.values() for name in each.recipients})

    def _allowed(
        self, connection: sqlite3.Connection, limits: Limits, recipient: str
    ) -> Mapping[int, Profile]:
        return {
            number: each
            for number, each in self._profiles.all(connection).items()
            if covered(each, limits) and (not recipient or recipient in each.recipients)
        }


@dataclass(frozen=True, kw_only=True)
class _Span:
    """The letters of a group: their place on the desk, and from when to when, the end excluded."""

    group: str
    desk: int
    since: int
    until: int

    @property
    def order(self) -> str:
        """In which deadlines are read."""
        return "DESC" if self.group in LATEST_FIRST else "ASC"


def _spans(now: datetime) -> Mapping[str, _Span]:
    begins, spans = FIRST, {}
    for group, end in (*group_ends(now), (DeskGroup.LATER, LAST)):
        spans[group.value] = _Span(
            group=group.value,
            desk=OPEN,
            since=to_number(begins),
            until=to_number(end) + (group is DeskGroup.LATER),
        )
        begins = end
    spans[BY_SYSTEM] = _Span(
        group=BY_SYSTEM,
        desk=BY_DEFAULT,
        since=to_number(FIRST),
        until=to_number(LAST) + 1,
    )
    return spans


def _part(
    connection: sqlite3.Connection,
    profiles: Mapping[int, Profile],
    span: _Span,
    limit: int,
    after: str | None,
    *,
    with_total: bool,
) -> DeskPart:
    total = _total(connection, profiles, span) if with_total else 0
    rows = _rows(connection, profiles, span, limit + 1, after)
    letters = [_letter(row, profiles) for row in rows[:limit]]
    more = len(rows) > limit and letters
    return DeskPart(
        group=span.group, total=total, letters=letters, after=letters[-1].cursor if more else None
    )


def _total(connection: sqlite3.Connection, profiles: Mapping[int, Profile], span: _Span) -> int:
    counts = connection.execute(
        "SELECT profile, count(*) FROM letter INDEXED BY letter_by_desk "
        "WHERE desk = ? AND desk_at >= ? AND desk_at < ? AND desk > 0 GROUP BY profile",
        [span.desk, span.since, span.until],
    )
    return sum(count for profile, count in counts if profile in profiles)


def _rows(
    connection: sqlite3.Connection,
    profiles: Mapping[int, Profile],
    span: _Span,
    limit: int,
    after: str | None,
) -> list[tuple[object, ...]]:
    within, values = within_profiles(profiles)
    later, place = _later(after, span.order)
    return connection.execute(
        f"SELECT {COLUMNS}{_MORE} FROM letter INDEXED BY letter_by_desk "  # noqa: S608
        f"WHERE desk = ? AND desk_at >= ? AND desk_at < ? AND desk > 0 {later} {within} "
        f"ORDER BY desk_at {span.order}, number {span.order} LIMIT ?",
        [span.desk, span.since, span.until, *place, *values, limit],
    ).fetchall()


def _later(after: str | None, order: str) -> tuple[str, Sequence[int]]:
    if after is None or not _CURSOR.fullmatch(after):
        return "", ()
    at, number = after.split(".")
    sign = "<" if order == "DESC" else ">"
    return f"AND (desk_at, number) {sign} (?, ?)", (int(at), int(number))


def _letter(row: Sequence[object], profiles: Mapping[int, Profile]) -> DeskLetter:
    due_at, revision, changed_at, number = (int(str(each)) for each in row[-_OF_EVENT:])
    return DeskLetter(
        letter=found_letter(row[:-_OF_EVENT], profiles[int(str(row[2]))]),
        due_at=from_number(due_at),
        revision=revision,
        changed_at=from_number(changed_at),
        cursor=f"{due_at}.{number}",
    )
