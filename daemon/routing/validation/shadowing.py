"""Finds routes that can never match, because an earlier one takes all their letters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from daemon.config.faults import FaultList
from daemon.core.folding import fold
from daemon.routing.index import Key, RouteIndex, WordMatcher
from daemon.routing.rows import Conditions, Route

_UNLIKE = frozenset({"title_contains", "due_within"})
"""Conditions that can be wider than another without sharing a value with it."""


def check_shadows(routes: Mapping[int, Route], faults: FaultList) -> None:
    """Refuse every enabled route that is shadowed by an earlier one.

    Costs little for routes that differ.
    """
    earlier = _Earlier()
    for place, route in routes.items():
        if not route.enabled:
            continue
        for other in earlier.candidates(route):
            if _takes_all_of(routes[other], route):
                name = routes[other].name
                faults.add(
                    ("route", place),
                    f"the route {route.name!r} can never match: the earlier route {name!r} "
                    "takes all its letters",
                    f"Move it before {name!r}, or remove it",
                )
                break
        if not route.continue_ and not route.is_catch_all:  # a catch-all has a check of its own
            earlier.add(place, route)


class _Earlier:
    """Earlier routes, found by what a route shadowed by them must share with them."""

    def __init__(self) -> None:
        self._shelves = RouteIndex()
        self._words = WordMatcher()

    def add(self, place: int, route: Route) -> None:
        options: list[list[Key]] = [
            [(name, value) for value in _values(route, name)]
            for name in route.written
            if name not in _UNLIKE
        ]
        if route.title_contains:
            options.append([("title_contains", fold(words)) for words in route.title_contains])
        for kind, value in self._shelves.file(place, options):
            if kind == "title_contains":
                self._words.add(str(value))

    def candidates(self, route: Route) -> list[int]:
        return self._shelves.find(self._keys(route))

    def _keys(self, route: Route) -> Iterator[Key]:
        yield from (
            (name, _values(route, name)[0]) for name in route.written if name not in _UNLIKE
        )
        if route.title_contains:
            yield from (
                ("title_contains", word)
                for word in self._words.in_text(fold(route.title_contains[0]))
            )


def _values(route: Route, name: str) -> tuple[object, ...]:
    value = getattr(route, name)
    return value if isinstance(value, tuple) else (value,)


def _takes_all_of(earlier: Route, later: Route) -> bool:
    if earlier.is_confidential != later.is_confidential:
        return False
    if earlier.not_ is not None and earlier.not_ != later.not_:
        return False
    return all(_is_as_strict(name, earlier, later) for name in earlier.written)


def _is_as_strict(name: str, earlier: Conditions, later: Conditions) -> bool:
    """Return whether all letters that meet the later route's condition meet the earlier one's."""
    wide, narrow = getattr(earlier, name), getattr(later, name)
    if narrow in (None, ()):
        return False
    if name == "title_contains":
        return all(any(fold(wider) in fold(words) for wider in wide) for words in narrow)
    if name == "due_within":
        return bool(narrow <= wide)
    if isinstance(wide, tuple):
        return set(narrow) <= set(wide)
    return bool(narrow == wide)
