"""Counts the letters that are asked for, and lists them, in one read of the index."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from daemon.page.search.conditions import LetterCondition
from daemon.page.search.profiles import Profile

FEW = 3_000
"""Letters that are sorted faster than found by a walk in their order."""
_CURSOR = re.compile(r"-?\d{1,18}\.\d{1,18}", re.ASCII)
COLUMNS = (
    "number, id, profile, fetched_at, published_at, due_at, confirmation_needed, title, "
    "deliveries, due_source, acknowledged"
)


@dataclass(frozen=True, kw_only=True)
class QueryRead:
    """What is asked for, in a read that has begun."""

    connection: sqlite3.Connection
    condition: LetterCondition
    matched: int | None
    """How many letters have the words; None if no words are asked for."""
    allowed: Mapping[Profile, int]
    """The profiles that are within the user's limits, not counted yet: each with 0."""

    def counts(self) -> dict[Profile, int]:
        """Count the letters within the limits by profile, whatever is chosen of the facets."""
        profiles = {each.number: each for each in self.allowed}
        found = self._by_profile() if self._follows_profiles() else self._one_by_one()
        return {profiles[key]: count for key, count in found.items() if key in profiles}

    def rows(
        self, profiles: Iterable[int], most: int, after: str | None, limit: int
    ) -> list[tuple[Any, ...]]:
        """Return a page of the letters of these profiles, the newest first.

        There are at most `most` of them.
        """
        if not most:
            return []
        within, values = within_profiles(profiles)
        later, place = _later(after)
        return self.connection.execute(
            f"SELECT {COLUMNS} FROM letter {self._how(most)} "  # noqa: S608  # our own names
            f"WHERE {self.condition.sql} {within} {later} "
            "ORDER BY fetched_at DESC, number DESC LIMIT ?",
            [*self.condition.values, *values, *place, limit],
        ).fetchall()

    def _follows_profiles(self) -> bool:
        """Whether the index by profile has all that is needed, and is not much too long."""
        return not self.condition.by_letter and (self.matched is None or self.matched > FEW)

    def _by_profile(self) -> dict[int, int]:
        rows = self.connection.execute(
            "SELECT profile, count(*) FROM letter INDEXED BY letter_by_profile "  # noqa: S608
            f"WHERE {self.condition.sql} GROUP BY profile",
            self.condition.values,
        )
        return dict(rows.fetchall())

    def _one_by_one(self) -> dict[int, int]:
        """Count in Python: SQLite would sort all letters by profile to group them."""
        rows = self.connection.execute(
            f"SELECT profile FROM letter WHERE {self.condition.sql}",  # noqa: S608  # our own names
            self.condition.values,
        )
        return Counter(chain.from_iterable(rows))

    def _how(self, most: int) -> str:
        """Return how to go through letters: few are sorted, many are walked in their order."""
        if most > FEW:
            return "INDEXED BY letter_by_arrival"
        return "" if self.matched is not None else "INDEXED BY letter_by_profile"


def within_profiles(numbers: Iterable[int]) -> tuple[str, Sequence[object]]:
    """Return the further condition that a letter is of one of these profiles, and its values."""
    return "AND profile IN (SELECT value FROM json_each(?))", [json.dumps(list(numbers))]


def _later(after: str | None) -> tuple[str, Sequence[int]]:
    if after is None or not _CURSOR.fullmatch(after):
        return "", ()
    at, number = after.split(".")
    return "AND (fetched_at, number) < (?, ?)", (int(at), int(number))
