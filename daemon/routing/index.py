"""Finds the few routes of a large table that a letter could meet, so that routing costs little however long the table is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from daemon.routing.facts import Facts, fold
from daemon.routing.rows import Route

_PREFIX = 3


class Index:
    """Numbers of routes, each filed under one condition that its letters must meet. Never changed after it is made."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_sender: dict[str, list[int]] = {}
        self._by_service: dict[str, list[int]] = {}
        self._by_words = _Words()
        self._confidential: list[int] = []
        self._others: list[int] = []
        for number, route in enumerate(routes):
            if route.enabled:
                self._file(number, route)

    def _file(self, number: int, route: Route) -> None:
        if route.is_confidential:
            self._confidential.append(number)
        elif route.senders and all(sender.isdigit() for sender in route.senders):
            _file_under(self._by_sender, route.senders, number)
        elif route.title_contains:
            self._by_words.add(map(fold, route.title_contains), number)
        elif route.services:
            _file_under(self._by_service, route.services, number)
        else:
            self._others.append(number)

    def candidates(self, facts: Facts) -> list[int]:
        """The routes that the letter could meet, in the table's order; those left out certainly do not match."""
        if facts.confidential:
            return list(self._confidential)
        found = {*self._others, *self._by_service.get(facts.service, ()), *self._by_words.in_text(facts.folded_title)}
        found.update(self._by_sender.get(facts.sender_org or "", ()))
        return sorted(found)


def _file_under(shelves: dict[str, list[int]], names: Iterable[str], number: int) -> None:
    for name in names:
        shelves.setdefault(name, []).append(number)


class _Words:
    """Which of many words occur anywhere in a text; costs by the length of the text, not by the number of words."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}
        self._lengths: dict[str, set[int]] = {}

    def add(self, words: Iterable[str], number: int) -> None:
        for word in words:
            self._numbers.setdefault(word, []).append(number)
            self._lengths.setdefault(word[:_PREFIX], set()).add(len(word))

    def in_text(self, text: str) -> Iterator[int]:
        for start in range(len(text)):
            for prefix in range(1, _PREFIX + 1):
                for length in self._lengths.get(text[start : start + prefix], ()):
                    yield from self._numbers.get(text[start : start + length], ())
