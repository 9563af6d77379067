"""A route made from a letter: what the letter has, to tick, with how many others have it too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from daemon.core.casenumbers import case_numbers
from daemon.core.dpv import find_service
from daemon.core.errors import OperatorError
from daemon.core.folding import fold, readable
from daemon.core.model import Message
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page
from daemon.page.views.routing.effects import seen_letter, tried_within
from daemon.page.views.routing.fields import in_a_list
from daemon.routing.conditions import holds
from daemon.routing.rows import Route

_SHORTEST, _WORDS = 4, 8
"""Letters of a word that says something, and how many of them are offered."""
_PATIENCE = 1.0  # seconds to count
Condition = tuple[str, str, str]
"""The key of a condition, its value, and what people see."""
_OFFERED = ("services", "senders", "case_numbers", "title_contains")


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A condition that could be ticked, and how many letters it would take."""

    key: str
    value: str
    text: str
    letters: int
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """What a letter suggests for a route."""

    letter: Message
    ticks: Sequence[Tick]
    tried: int
    """The letters that were counted."""

    @property
    def chosen(self) -> Mapping[str, str]:
        """The texts of the form's fields for what is ticked."""
        return {
            key: in_a_list(each.value for each in self.ticks if each.key == key and each.is_chosen)
            for key in _OFFERED
        }


def suggested(request: Request, page: Page, user: UserAccess) -> Suggested | None:
    """Return what the letter in the address suggests. Raises 404 if the user may not open it."""
    name = request.query_params.get("letter", "")
    if not name:
        return None
    try:
        key = page.store.queries.message(name).id
    except OperatorError as error:  # there is none, it was deleted, or several begin so
        raise HTTPException(HTTPStatus.NOT_FOUND) from error
    letter = seen_letter(page, user, key, Right.OPEN)
    if letter is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    conditions = [
        each for each in _conditions(letter, request.state.language) if _values(each[0], each[1])
    ]
    counts, tried = _counts(page, user, conditions)
    ticks = [
        Tick(
            key=key,
            value=value,
            text=text,
            letters=count,
            is_chosen=value in request.query_params.getlist(key),
        )
        for (key, value, text), count in zip(conditions, counts, strict=True)
    ]
    return Suggested(letter=letter, ticks=ticks, tried=tried)


def _conditions(letter: Message, language: str) -> Iterator[Condition]:
    """Yield the key, the value and the words of each condition that the letter meets."""
    service = find_service(letter.service)
    name = service.names[language] if service else ""
    yield "services", letter.service, f"{name} {letter.service}".strip()
    if letter.sender_org:
        yield "senders", letter.sender_org, f"{letter.sender_name} {letter.sender_org}".strip()
    elif readable(letter.sender_name).strip(" *"):
        yield "senders", readable(letter.sender_name).strip(), letter.sender_name
    for number in case_numbers(f"{letter.title} {letter.summary}"):
        yield "case_numbers", number, number
    for word in _words(letter.title):
        yield "title_contains", word, word


def _words(title: str) -> list[str]:
    """Return the longest words of a title, in its order, without numbers."""
    cleaned = "".join(each if each.isalpha() or each == "-" else " " for each in readable(title))
    words = [word.strip("-") for word in cleaned.split()]
    words = [word for word in dict.fromkeys(words) if len(word) >= _SHORTEST and fold(word).strip()]
    longest = set(sorted(words, key=len, reverse=True)[:_WORDS])
    return [word.lower() for word in words if word in longest]


def _counts(page: Page, user: UserAccess, conditions: Sequence[Condition]) -> tuple[list[int], int]:
    """Count the letters for which each condition holds, and those of the user that were looked at.

    Confidential ones are left out: no route of these conditions takes them. Where the letters are
    many, it stops after a moment.
    """
    routes = [Route.model_validate({"name": "new", key: [value]}) for key, value, _ in conditions]
    wanted = [
        (key, getattr(route, key)) for (key, _, _), route in zip(conditions, routes, strict=True)
    ]
    counts, seen, until = [0] * len(wanted), 0, time.monotonic() + _PATIENCE
    letters = page.workshop.letters
    for facts in letters.letters(letters.window(page.clock()), tried_within(user)):
        seen += 1
        if time.monotonic() > until:
            break
        if facts.confidential:
            continue
        for number, (key, value) in enumerate(wanted):
            counts[number] += holds(key, value, facts)
    return counts, seen


def _values(key: str, value: str) -> tuple[str, ...]:
    """Return a condition's values as a route has them; empty if a route cannot have the value."""
    try:
        found: tuple[str, ...] = getattr(Route.model_validate({"name": "x", key: [value]}), key)
    except ValidationError:
        return ()
    return found
