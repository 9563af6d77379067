"""Finds the few routes of a large table that a letter could match.

This keeps routing cheap however long the table is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from daemon.core.folding import fold, fold_whole
from daemon.routing.facts import Facts
from daemon.routing.rows import Route

_PREFIX = 3
Key = tuple[str, object]
"""What a row is filed under: the name of a condition, and one of its values."""


class RouteIndex:
    """Route numbers filed under keys.

    Each is filed under all keys of one of its options: the one whose shelves are emptiest so far.
    """

    def __init__(self) -> None:
        self._shelves: dict[Key, list[int]] = {}
        self._rest: list[int] = []

    def file(self, number: int, options: Sequence[Sequence[Key]]) -> Sequence[Key]:
        """File a number, or keep it with the rest if it has no option; return its keys."""
        if not options:
            self._rest.append(number)
            return ()
        chosen = min(options, key=self._crowd)
        for key in chosen:
            self._shelves.setdefault(key, []).append(number)
        return chosen

    def _crowd(self, keys: Sequence[Key]) -> int:
        return max(len(self._shelves.get(key, ())) for key in keys)

    def find(self, keys: Iterator[Key]) -> list[int]:
        """Return the numbers under any of the keys, and the rest, in order."""
        found = set(self._rest)
        for key in keys:
            found.update(self._shelves.get(key, ()))
        return sorted(found)


class WordMatcher:
    """Finds which of many words occur anywhere in a text.

    The cost depends on the length of the text, not on the number of words.
    """

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._lengths: dict[int, dict[str, set[int]]] = {}
        """The lengths of the words that begin with a prefix, by the prefix's own length: most words
        are as long as the longest.
        """

    def add(self, word: str) -> None:
        """Add a word, which must not be empty."""
        self._words.add(word)
        prefix = word[:_PREFIX]
        self._lengths.setdefault(len(prefix), {}).setdefault(prefix, set()).add(len(word))

    def in_text(self, text: str) -> Iterator[str]:
        """Yield the words that occur in the text, some of them more than once."""
        for prefix, lengths in self._lengths.items():
            for start in range(len(text) - prefix + 1):
                for length in lengths.get(text[start : start + prefix], ()):
                    if (word := text[start : start + length]) in self._words:
                        yield word


class Index:
    """Numbers of routes, each filed under one condition that its letters must meet. Immutable."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._confidential: list[int] = []
        self._shelves = RouteIndex()
        self._words = {each: WordMatcher() for each in ("title", "name", "party name")}
        for number, route in enumerate(routes):
            if route.enabled:
                self._file(number, route)

    def _file(self, number: int, route: Route) -> None:
        if route.is_confidential:
            self._confidential.append(number)
            return
        for kind, value in self._shelves.file(number, [keys for keys in _options(route) if keys]):
            if kind in self._words:
                self._words[kind].add(str(value))

    def candidates(self, facts: Facts) -> list[int]:
        """Return the routes that the letter could match, in the table's order.

        Those left out certainly do not match.
        """
        return (
            list(self._confidential)
            if facts.confidential
            else self._shelves.find(self._keys(facts))
        )

    def _keys(self, facts: Facts) -> Iterator[Key]:
        yield "service", facts.service
        yield "party", facts.party
        yield from (("party group", group) for group in facts.party_groups)
        yield "organisation", facts.sender_org
        yield from (("case", number) for number in facts.case_numbers)
        yield "reference", facts.folded_reference
        texts = {
            "name": facts.folded_sender,
            "title": facts.folded_title,
            "party name": facts.folded_party_name,
        }
        for kind, text in texts.items():
            yield from ((kind, word) for word in self._words[kind].in_text(text))


def _options(route: Route) -> Iterator[list[Key]]:
    """Yield what the route could be filed under, one list for each condition.

    A list is empty if its values are not known beforehand.
    """
    yield _if_all([_sender_key(sender) for sender in route.senders])
    yield _if_all([_exact("case", pattern) for pattern in route.case_numbers])
    yield _if_all([_exact("reference", pattern) for pattern in route.senders_reference])
    yield [("title", fold(words)) for words in route.title_contains]
    yield [("party", party) for party in route.parties]
    yield [("party group", group) for group in route.party_group]
    yield _if_all([_piece_key("party name", name) for name in route.party_name])
    yield [("service", service) for service in route.services]


def _if_all(keys: list[Key | None]) -> list[Key]:
    found = [key for key in keys if key is not None]
    return found if len(found) == len(keys) else []


def _sender_key(sender: str) -> Key | None:
    """Return the organisation number, or the longest piece of the name between asterisks."""
    if sender.isdigit():
        return "organisation", sender
    return _piece_key("name", sender)


def _piece_key(kind: str, pattern: str) -> Key | None:
    piece = max(fold_whole(pattern).split("*"), key=len)
    return (kind, piece) if piece else None


def _exact(kind: str, pattern: str) -> Key | None:
    return None if "*" in pattern else (kind, fold_whole(pattern))
