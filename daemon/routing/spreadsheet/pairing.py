"""Finds which row of an edited table was which row before, and which rows have moved. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(each)) for key, each in value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else (str(value),)


_LIKENESSES: tuple[Callable[[Row], Hashable], ...] = (
    _frozen,
    lambda row: row.get("name"),
    lambda row: _frozen({key: value for key, value in row.items() if key != "name"}),
)
_COVER_LIKENESSES: tuple[Callable[[Row], Hashable], ...] = (
    _frozen,
    lambda row: (row["from"], row["starts"], row["ends"]),
    lambda row: (row["from"], row.get("to"), row["starts"]),
    lambda row: (row["from"], row.get("to"), row["ends"]),
    lambda row: (row["from"], row["starts"]),
    lambda row: (row["from"], row["ends"]),
)
"""How rows are recognised: first those that are most alike. A row without a name is a cover."""


def pairs(old: Sequence[Row], new: Sequence[Row]) -> dict[int, int]:
    """Return the place after the edit of each row that is still there, by its place before."""
    found: dict[int, int] = {}
    is_cover = any("name" not in row for row in (*old, *new))
    for likeness in _COVER_LIKENESSES if is_cover else _LIKENESSES:
        taken = set(found.values())
        free: dict[Hashable, list[int]] = {}
        for place, row in enumerate(new):
            if place not in taken:
                free.setdefault(likeness(row), []).append(place)
        for place, row in enumerate(old):
            if place not in found and (same := free.get(likeness(row))):
                found[place] = same.pop(0)
    return dict(sorted(found.items()))


def moved(places: Mapping[int, int]) -> list[int]:
    """Return the rows, by their places before, that were taken out of the order of the others.

    These are as few as possible: the rest is a longest increasing subsequence.
    """
    befores = sorted(places)
    ends: list[int] = []  # the last places of the shortest chains of each length
    at: list[int] = []  # the row at the end of each of them
    previous: dict[int, int | None] = {}
    for before in befores:
        length = bisect_left(ends, places[before])
        previous[before] = at[length - 1] if length else None
        ends[length : length + 1] = [places[before]]
        at[length : length + 1] = [before]
    kept: set[int] = set()
    step = at[-1] if at else None
    while step is not None:
        kept.add(step)
        step = previous[step]
    return [before for before in befores if before not in kept]
