"""Find every letter behind a list whose longest length is not documented.

A list may have been cut if it is as long as the longest seen so far. It is requested again in
halves until none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connectors.altinn2.letters import Element
from connectors.net.cpu_throttle import CpuThrottle

LONG = 100
"""The lowest limit that Altinn 2 is known to have had on any list (release notes, 24.11)."""
_BIRTH = datetime(2003, 1, 1, tzinfo=UTC)
_SHORTEST = timedelta(minutes=1)
_TICK = timedelta(seconds=1)
"""Bounds are exclusive, and may be truncated to seconds; so halves overlap."""

Ask = Callable[[datetime | None, datetime], Mapping[str, Element]]
"""One call: the letters of that time, by their id."""


@dataclass(frozen=True, kw_only=True)
class FoundElements:
    """The letters, and why there may be more (empty if there are not)."""

    elements: Mapping[str, Element]
    shortfall: str = ""


def find_all(ask: Ask, after: datetime | None, before: datetime) -> FoundElements:
    """Find every letter of that period, with about two more calls for each list that may be cut."""
    search = _ElementSearch(ask)
    elements = search.whole(after, before)
    return FoundElements(elements=elements, shortfall=search.shortfall)


@dataclass
class _ElementSearch:
    ask: Ask
    longest: int = LONG
    elements: dict[str, Element] = field(default_factory=dict)
    shortfall: str = ""
    throttle: CpuThrottle = field(default_factory=CpuThrottle)

    def whole(self, after: datetime | None, before: datetime) -> Mapping[str, Element]:
        """Find every letter of that period, and what was found before."""
        self.throttle.step()
        found = self.ask(after, before)
        self.elements.update(found)
        if len(found) >= self.longest:
            self.longest = len(found)
            self.halve(after or _BIRTH, before)
        return self.elements

    def halve(self, after: datetime, before: datetime) -> None:
        """Request the halves of a period whose list may have been cut."""
        if before - after <= _SHORTEST:
            self.shortfall = (
                f"Altinn 2 lists {self.longest} letters of one minute, and there may be more that "
                "it does not list; compare with the inbox in Altinn 2"
            )
            return
        middle = after + (before - after) / 2
        self.whole(after, middle + _TICK)
        self.whole(middle - _TICK, before)
