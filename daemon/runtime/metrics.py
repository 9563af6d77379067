"""Counts and distributions since the start of the process, by one label, for monitors."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


class LabelledCounter:
    """Counts by label, which only grow. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, label: str, count: int = 1) -> None:
        """Count so many more."""
        with self._lock:
            self._counts[label] += count

    def values(self) -> dict[str, int]:
        """Return the counts by label; labels that were never counted are left out."""
        with self._lock:
            return dict(self._counts)


@dataclass(frozen=True)
class Distribution:
    """How many values a histogram has observed for one label, and their sum."""

    cumulative: tuple[int, ...]
    """How many were at most each of the bounds, and last how many there were."""
    total: float


class Histogram:
    """Distributions of observed values by label. May be used from any thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count values up to each of the `bounds`, which ascend."""
        self.bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._totals: dict[str, float] = {}

    def observe(self, label: str, value: float) -> None:
        """Note a value; a negative one, which a clock that was set can cause, counts as 0."""
        value = max(0.0, value)
        with self._lock:
            counts = self._counts.setdefault(label, [0] * (len(self.bounds) + 1))
            counts[bisect_left(self.bounds, value)] += 1
            self._totals[label] = self._totals.get(label, 0.0) + value

    def values(self, labels: Sequence[str] = ()) -> dict[str, Distribution]:
        """Return the distributions by label; those of `labels` in any case."""
        nothing = [0] * (len(self.bounds) + 1)
        with self._lock:
            return {
                label: Distribution(
                    tuple(accumulate(self._counts.get(label, nothing))),
                    self._totals.get(label, 0.0),
                )
                for label in dict.fromkeys([*labels, *self._counts])
            }
