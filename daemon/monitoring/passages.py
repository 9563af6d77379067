"""How long letters take from one step to the next, over the last 30 days, by service and place.

Read from the rows themselves, so it needs no counters and survives a restart. Of more than 25,000
letters it looks at every second one, every third one and so on, so that the cost stays the same.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from daemon.core.times import shifted
from daemon.runtime.metrics import Distribution
from daemon.store import Store
from daemon.store.passages import Passage

WINDOW = timedelta(days=30)
SAMPLED = 25_000
"""About how many letters are looked at, at most twice as many."""
PERCENTS = (50, 90, 99)
BOUNDS = (1, 5, 30, 60, 300, 1800, 3600, 4 * 3600, 86_400, 5 * 86_400, 30 * 86_400)
"""Of the histograms, in seconds."""
_AHEAD = timedelta(hours=1)
_FRESH = timedelta(minutes=10)


@dataclass(frozen=True)
class PassageStep:
    """From one time of a letter to another."""

    name: str
    begins: str
    ends: str
    of_letter: bool = False
    """Whether it is the same for all destinations."""


STEPS = (
    PassageStep("published_to_listed", "published_at", "listed_at", of_letter=True),
    PassageStep("listed_to_stored", "listed_at", "stored_at", of_letter=True),
    PassageStep("stored_to_delivered", "stored_at", "delivered_at"),
    PassageStep("delivered_to_taken", "delivered_at", "taken_at"),
    PassageStep("delivered_to_acknowledged", "delivered_at", "acknowledged_at"),
    PassageStep("published_to_delivered", "published_at", "delivered_at"),
)
Key = tuple[str, str, str]
"""A step, a service, and a destination, which is empty where all have the same."""


@dataclass(frozen=True, kw_only=True)
class Durations:
    """Durations of one step, in seconds, in ascending order."""

    seconds: Sequence[float]

    def percentile(self, percent: float) -> timedelta:
        """Return the duration that so many percent do not exceed (the nearest rank)."""
        place = max(0, math.ceil(len(self.seconds) * percent / 100) - 1)
        return timedelta(seconds=self.seconds[place])

    def distribution(self, bounds: Sequence[float], times: int) -> Distribution:
        """Return them as a histogram has them, each counted so many times."""
        counts = [0] * (len(bounds) + 1)
        for each in self.seconds:
            counts[bisect_left(bounds, each)] += times
        return Distribution(tuple(accumulate(counts)), sum(self.seconds) * times)


@dataclass(frozen=True, kw_only=True)
class PassageTimes:
    """What the letters of the window took."""

    since: datetime
    letters: int = 0
    every: int = 1
    """Every so many-th letter was looked at."""
    by_key: Mapping[Key, Durations] = field(default_factory=dict)

    def of_step(self, step: str) -> Durations | None:
        """Return the durations of a step over all services and destinations; None without any."""
        found = sorted(
            each for key, all_ in self.by_key.items() if key[0] == step for each in all_.seconds
        )
        return Durations(seconds=found) if found else None


def passage_times(store: Store, now: datetime) -> PassageTimes:
    """Return what the letters took that came in the last 30 days. Raises StoreError.

    Times that are unset or cannot be are left out: an end that has not come, a publish time after
    the letter was seen, one from before the first letter came, which says how old the mailbox is.
    """
    since = shifted(now, -WINDOW)
    sample, begin = store.passages.sample(since, SAMPLED), store.passages.first_arrival()
    found: defaultdict[Key, list[float]] = defaultdict(list)
    for passage in store.passages.of(since, sample.every):
        for key, seconds in _measured(passage, begin or since, now):
            found[key].append(seconds)
    return PassageTimes(
        since=since,
        letters=sample.letters,
        every=sample.every,
        by_key={key: Durations(seconds=sorted(found[key])) for key in sorted(found)},
    )


def _measured(passage: Passage, begin: datetime, now: datetime) -> Iterator[tuple[Key, float]]:
    for step in STEPS:
        if step.of_letter and not passage.is_first:
            continue
        begun: datetime | None = getattr(passage, step.begins)
        ended: datetime | None = getattr(passage, step.ends)
        if begun is None or ended is None or ended > shifted(now, _AHEAD):
            continue
        if step.begins == "published_at" and begun < begin:
            continue
        seconds = (ended - begun).total_seconds()
        if seconds >= -_AHEAD.total_seconds():  # two clocks are never quite the same
            destination = "" if step.of_letter else passage.destination
            yield (step.name, passage.service, destination), max(0.0, seconds)


class SharedPassageTimes:
    """The same, at most ten minutes old. May be used from any thread."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._found: tuple[datetime, PassageTimes] | None = None

    def recent(self) -> PassageTimes:
        """Return what was found in the last ten minutes, or look. Raises StoreError."""
        with self._lock:
            now = self._clock()
            if self._found is None or not timedelta() <= now - self._found[0] < _FRESH:
                self._found = now, passage_times(self._store, now)
            return self._found[1]
