"""Finds every letter behind a list of which nobody says how long it may be.

A list that is long is asked for again in halves. If these have nothing that the whole had not, it was whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connectors.altinn2.letters import Element

LONG = 100
"""The lowest limit that Altinn 2 is known to have had on any list (release notes, 24.11)."""
_BIRTH = datetime(2003, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)

Ask = Callable[[datetime | None, datetime], Mapping[str, Element]]
"""One call: the letters of that time, by their id."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The letters, and why there may be more (empty if there are not)."""

    elements: Mapping[str, Element]
    shortfall: str = ""


def find_all(ask: Ask, after: datetime | None, before: datetime) -> Found:
    """Every letter of that time, however many."""
    whole = ask(after, before)
    if len(whole) < LONG:
        return Found(elements=whole)
    begin = after or _BIRTH
    middle = begin + (before - begin) / 2
    halves = {**whole, **ask(after, middle), **ask(middle, before)}
    if len(halves) == len(whole):
        return Found(elements=whole)
    if before - begin < _DAY:
        words = f"Altinn 2 cuts its list, at {len(whole)} letters, and has more than that of one day; compare with the inbox in Altinn"
        return Found(elements=halves, shortfall=words)
    older, newer = find_all(ask, after, middle), find_all(ask, middle, before)
    return Found(elements={**halves, **older.elements, **newer.elements}, shortfall=older.shortfall or newer.shortfall)
