"""Lists, facets and counts of letters, from the index alone.

Letters are counted by profile in SQLite, and what is chosen and allowed is decided for profiles.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from daemon.core.rights import Grant
from daemon.core.times import norwegian_day, shifted
from daemon.page.search.conditions import conditions
from daemon.page.search.index import SearchIndex
from daemon.page.search.matching import matched
from daemon.page.search.moments import from_number, to_number
from daemon.page.search.profiles import Profile, Profiles, chosen, covered
from daemon.page.search.query import FACETS, LetterQuery
from daemon.page.search.reading import COLUMNS, QueryRead, within_profiles
from daemon.page.search.schema import OPEN

Limits = Sequence[Grant] | None
_STILL_SHOWN = timedelta(days=30)  # after its deadline


@dataclass(frozen=True, kw_only=True)
class FoundLetter:
    """What a list shows of a letter. `deliveries` has the states by destination."""

    id: UUID
    fetched_at: datetime
    published_at: datetime
    due_at: datetime | None
    due_source: str
    """How the deadline is known; empty without one."""
    is_acknowledged: bool
    party: str
    service: str
    sender_org: str
    sender_name: str
    title: str
    confirmation_needed: bool
    route: str
    recipients: Sequence[str]
    direct: Sequence[str]
    deliveries: Mapping[str, str]
    cursor: str
    """Where a list that goes on after this letter begins."""


@dataclass(frozen=True, kw_only=True)
class FacetValue:
    """A value that can be chosen, and how many letters the list would have then."""

    value: str
    count: int
    chosen: bool
    label: str
    """The value; of a sender the name."""


Facets = Mapping[str, Sequence[FacetValue]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page of a list, with all that is shown beside it."""

    letters: Sequence[FoundLetter]
    total: int
    facets: Facets
    after: str | None
    """Where the next page begins; None if this is the last one."""


class LetterFinder:
    """Finds letters that are within a user's limits. May be used from several threads.

    `limits` are the grants of which one must cover a letter; None is for those who may see all.
    Every method raises SearchTooSlow and SearchFault.
    """

    def __init__(
        self, index: SearchIndex, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._index = index
        self._clock = clock
        self._profiles = Profiles()

    def look(
        self, query: LetterQuery, limits: Limits, after: str | None = None, limit: int = 50
    ) -> Found:
        """Return a page of the list, its total and its facets, all of one moment.

        The newest letters come first. `after` is a `cursor`; a malformed one does not count.
        """
        with self._reading(query, limits) as reading:
            counts = reading.counts()
            wanted = _wanted(counts, query)
            total = sum(wanted.values())
            letters = _letters(reading, wanted, total, after, limit + 1)
        return Found(
            letters=letters[:limit],
            total=total,
            facets=_facets(counts, query),
            after=letters[limit - 1].cursor if len(letters) > limit else None,
        )

    def find(
        self, query: LetterQuery, limits: Limits, after: str | None = None, limit: int = 50
    ) -> Sequence[FoundLetter]:
        """Return a page of the list alone."""
        with self._reading(query, limits) as reading:
            if reading.matched is None:
                wanted = _wanted(reading.counts(), query)
                return _letters(reading, wanted, sum(wanted.values()), after, limit)
            # a common word is in letters of every profile: to count them costs more than to find
            return _letters(reading, _wanted(reading.allowed, query), reading.matched, after, limit)

    def total(self, query: LetterQuery, limits: Limits) -> int:
        """Return how many letters the whole list has."""
        with self._reading(query, limits) as reading:
            return sum(_wanted(reading.counts(), query).values())

    def facets(self, query: LetterQuery, limits: Limits) -> Facets:
        """Return the values of each facet, the commonest first, with the chosen one even if 0.

        A count is the total after this value is chosen, instead of another of its facet.
        """
        with self._reading(query, limits) as reading:
            return _facets(reading.counts(), query)

    def days(self, limits: Limits, days: int = 60) -> Sequence[tuple[date, int]]:
        """Return how many letters were published on each of the last days in Norway.

        Today is the last day. Letters that came later than they were published, as all do that a
        first import brings, count on the day of their sender.
        """
        today = norwegian_day(self._clock())
        first = today - timedelta(days=days - 1)
        with self._index.read() as connection:
            rows = connection.execute(
                "SELECT published_day, profile, count(*) FROM letter "
                "WHERE published_day BETWEEN ? AND ? GROUP BY published_day, profile",
                [first.toordinal(), today.toordinal()],
            ).fetchall()
            profiles = self._profiles.all(connection)
        allowed = {number for number, each in profiles.items() if covered(each, limits)}
        found: Counter[int] = Counter()
        for day, profile, count in rows:
            found[day] += count if profile in allowed else 0
        every = (first + timedelta(days=number) for number in range(days))
        return [(day, found[day.toordinal()]) for day in every]

    def deadlines(self, limits: Limits, limit: int) -> Sequence[FoundLetter]:
        """Return the letters whose open deadlines are nearest to now, in the order of these.

        Those that are past are among them for 30 days; what a sending system wrote by itself is
        not.
        """
        now = self._clock()
        with self._index.read() as connection:
            profiles = self._profiles.all(connection)
            allowed = [key for key, each in profiles.items() if covered(each, limits)]
            rows = _due_around(connection, now, allowed, limit)
        found = [found_letter(row, profiles[row[2]]) for row in rows]
        nearest = sorted(found, key=lambda each: _distance(each, now))[:limit]
        return sorted(nearest, key=lambda each: each.due_at or now)

    @contextmanager
    def _reading(self, query: LetterQuery, limits: Limits) -> Iterator[QueryRead]:
        condition = conditions(query, self._clock())
        with self._index.read() as connection, matched(connection, condition.words) as found:
            every = self._profiles.all(connection).values()
            yield QueryRead(
                connection=connection,
                condition=condition,
                matched=found,
                allowed={each: 0 for each in every if covered(each, limits)},
            )


def _letters(
    reading: QueryRead, wanted: Iterable[Profile], most: int, after: str | None, limit: int
) -> list[FoundLetter]:
    profiles = {each.number: each for each in wanted}
    return [
        found_letter(row, profiles[row[2]]) for row in reading.rows(profiles, most, after, limit)
    ]


def _due_around(
    connection: sqlite3.Connection, now: datetime, profiles: Sequence[int], limit: int
) -> list[tuple[Any, ...]]:
    """Return the rows of the next deadlines, and of the last that are past."""
    at, oldest = to_number(now), to_number(shifted(now, -_STILL_SHOWN))
    within, values = within_profiles(profiles)
    ways = (("desk_at >= ?", [at], "ASC"), ("desk_at BETWEEN ? AND ?", [oldest, at - 1], "DESC"))
    return [
        row
        for condition, bounds, order in ways
        for row in connection.execute(
            f"SELECT {COLUMNS} FROM letter INDEXED BY letter_by_desk "  # noqa: S608
            f"WHERE desk = ? AND desk > 0 AND {condition} {within} "
            f"ORDER BY desk_at {order}, number LIMIT ?",
            [OPEN, *bounds, *values, limit],
        )
    ]


def _distance(letter: FoundLetter, now: datetime) -> timedelta:
    return abs(letter.due_at - now) if letter.due_at else timedelta.max


def _wanted(counts: Mapping[Profile, int], query: LetterQuery) -> dict[Profile, int]:
    choices = chosen(query)
    return {profile: count for profile, count in counts.items() if not profile.missed(choices)}


def _facets(counts: Mapping[Profile, int], query: LetterQuery) -> Facets:
    choices = chosen(query)
    found: dict[str, Counter[str]] = {facet: Counter() for facet in FACETS}
    names: dict[str, str] = {}
    for facet, value in choices:
        found[facet][value] = 0
    for profile, count in counts.items():
        missed = profile.missed(choices)
        if len(missed) > 1:
            continue
        for facet in missed or FACETS:
            for value in profile.values[facet]:
                found[facet][value] += count
        names[profile.sender_org or profile.sender_name] = profile.sender_name
    return {
        facet: [
            FacetValue(
                value=value,
                count=count,
                chosen=(facet, value) in choices,
                label=(names.get(value) or value) if facet == "sender" else value,
            )
            for value, count in sorted(values.items(), key=lambda item: (-item[1], item[0]))
            if value
        ]
        for facet, values in found.items()
    }


def found_letter(row: Sequence[Any], profile: Profile) -> FoundLetter:
    """Return what a row with `COLUMNS` is."""
    number, key, _, fetched_at, published_at, due_at, confirmation, title, deliveries = row[:9]
    due_source, acknowledged = row[9:]
    return FoundLetter(
        id=UUID(str(key)),
        fetched_at=from_number(fetched_at),
        published_at=from_number(published_at),
        due_at=None if due_at is None else from_number(due_at),
        due_source=due_source,
        is_acknowledged=bool(acknowledged),
        party=profile.party,
        service=profile.service,
        sender_org=profile.sender_org,
        sender_name=profile.sender_name,
        title=title,
        confirmation_needed=bool(confirmation),
        route=profile.route,
        recipients=profile.recipients,
        direct=profile.direct,
        deliveries=json.loads(deliveries),
        cursor=f"{fetched_at}.{number}",
    )
