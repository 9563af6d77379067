"""Finds which row of an edited table was which row before, and which rows have moved. Pure."""

from __future__ import annotations

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

    These are as few as possible: the rest is a longest increasing subsequence. Where there are
    several of the same length, rows that have kept their place stay in it.
    """
    chains = _Chains(1 + max(places.values(), default=0))
    previous: dict[int, int | None] = {}
    for before in sorted(places):
        after = places[before]
        length, kept, row = chains.best_below(after)
        previous[before] = row
        chains.put(after, (length + 1, kept + (before == after), before))
    *_, step = chains.best_below(1 + max(places.values(), default=0))
    stayed: set[int] = set()
    while step is not None:
        stayed.add(step)
        step = previous[step]
    return [before for before in sorted(places) if before not in stayed]


Chain = tuple[int, int, int | None]
"""How many rows are in it, how many of them have kept their place, and the last one."""


class _Chains:
    """The longest chain that ends at each place: a Fenwick tree of maxima."""

    def __init__(self, places: int) -> None:
        self._best: list[Chain] = [(0, 0, None)] * (places + 1)

    def best_below(self, place: int) -> Chain:
        """Return the best chain that ends before this place."""
        best: Chain = (0, 0, None)
        while place:
            best = max(best, self._best[place], key=lambda chain: chain[:2])
            place &= place - 1
        return best

    def put(self, place: int, chain: Chain) -> None:
        """Add a chain that ends at this place."""
        place += 1
        while place < len(self._best):
            self._best[place] = max(self._best[place], chain, key=lambda each: each[:2])
            place += place & -place
