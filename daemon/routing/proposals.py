"""Learning from corrections: letters that people moved alike make a proposal for a route. Pure.

Three letters of the same sender and service, which the table sent to the same recipients and people
moved to the same other one, are a proposal, as long as the table would still send three of them
elsewhere. A proposal is never applied by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from daemon.core.folding import fold, readable
from daemon.routing.conditions import matches
from daemon.routing.decide import decide
from daemon.routing.dryrun import HistoricLetter
from daemon.routing.facts import Facts
from daemon.routing.rows import Route
from daemon.routing.table import Table

ENOUGH = 3
"""Equal corrections that make a proposal."""
_SHORTEST = 4
"""Characters of a word of a title that says something."""


@dataclass(frozen=True, kw_only=True)
class CorrectedLetter:
    """A letter that somebody moved."""

    message: str
    facts: Facts
    route: str
    """The route of the table that had decided."""
    was: tuple[str, ...]
    to: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A route that would have done what people did."""

    key: str
    """The same for the same corrections, whatever came since."""
    was: tuple[str, ...]
    to: str
    before: str
    """The first of the table's routes that it must come before; empty if they are gone."""
    corrections: tuple[str, ...]
    """The letters that were moved, those moved last first."""
    values: Mapping[str, Any]
    """The route, as a row of the table."""
    letters: int = 0
    """How many letters were tried."""
    moved: int = 0
    """How many of them it would have moved."""
    others: tuple[str, ...] = ()
    """Those of them that nobody moved there, the newest first."""


_Key = tuple[str, str, tuple[str, ...], str]


def proposals(
    table: Table, corrections: Iterable[CorrectedLetter], dismissed: Collection[str]
) -> list[Proposal]:
    """Return what the corrections propose, the most corrected first, without a dry run."""
    groups: defaultdict[_Key, list[CorrectedLetter]] = defaultdict(list)
    for each in corrections:
        sender = _sender(each.facts)
        if each.facts.confidential or not sender or len(each.to) != 1:
            continue
        if each.to[0] in table.recipients and not _is_known(table, each):
            groups[each.facts.service, sender, each.was, each.to[0]].append(each)
    found = [
        _proposal(table, key, group)
        for key, group in groups.items()
        if len(group) >= ENOUGH and _name_of(key) not in dismissed
    ]
    return sorted(found, key=lambda each: (-len(each.corrections), each.key))


def _is_known(table: Table, correction: CorrectedLetter) -> bool:
    """Whether the table sends such a letter where people moved it."""
    decision = decide(table, correction.facts)
    return decision is not None and correction.to[0] in decision.chosen


def _sender(facts: Facts) -> str:
    """Return the sender as a route names one; empty if a route cannot."""
    sender = facts.sender_org or readable(facts.sender_name).strip()
    if "*" in sender:
        return ""
    try:
        Route.model_validate({"name": "x", "senders": [sender], "services": [facts.service]})
    except ValidationError:
        return ""
    return sender


def _name_of(key: _Key) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def _proposal(table: Table, key: _Key, group: Sequence[CorrectedLetter]) -> Proposal:
    service, sender, was, to = key
    names = [route.name for route in table.routes]
    deciders = {each.route for each in group}
    return Proposal(
        key=_name_of(key),
        was=was,
        to=to,
        before=next((name for name in names if name in deciders), ""),
        corrections=tuple(each.message for each in group),
        values={
            "name": _free_name(f"{readable(group[0].facts.sender_name) or sender} til {to}", names),
            "services": [service],
            "senders": [sender],
            "to": [to],
        },
    )


def _free_name(name: str, taken: Collection[str]) -> str:
    return next(
        each
        for number in range(len(taken) + 1)
        for each in (f"{name} {number + 1}" if number else name,)
        if each not in taken
    )


@dataclass
class _Tried:
    """What a proposal's route would take."""

    proposal: Proposal
    moved: list[tuple[str, str]] = field(default_factory=list)
    """Letters, and their titles folded; the oldest first."""
    corrected: list[str] = field(default_factory=list)
    """The folded titles of those that people moved."""


def with_dry_runs(
    table: Table, found: Sequence[Proposal], letters: Iterable[HistoricLetter]
) -> list[Proposal]:
    """Try the proposals on letters, the oldest first; narrow those that would take too many.

    A word that all corrected titles have becomes a condition, if it spares most of the others.
    """
    tried, count = [_Tried(each) for each in found], 0
    routes = [Route.model_validate(each.values) for each in found]
    for letter in letters:
        count += 1
        for each, route in zip(tried, routes, strict=True):
            if matches(route, letter.facts):
                _note(table, each, letter)
    return [_outcome(each, count) for each in tried]


def _note(table: Table, tried: _Tried, letter: HistoricLetter) -> None:
    title, proposal = fold(letter.facts.title), tried.proposal
    if letter.message in proposal.corrections:
        tried.corrected.append(title)
    decision = decide(table, letter.facts, letter.earlier)
    if decision is not None and decision.chosen != (proposal.to,):
        tried.moved.append((letter.message, title))


def _outcome(tried: _Tried, letters: int) -> Proposal:
    proposal, moved = tried.proposal, tried.moved
    values = dict(proposal.values)
    word = _sparing_word(tried)
    if word:
        moved = [each for each in moved if word in each[1]]
        values = {"name": values["name"], "title_contains": [word], **values}
    others = [key for key, _ in reversed(moved) if key not in proposal.corrections]
    return replace(proposal, values=values, letters=letters, moved=len(moved), others=tuple(others))


def _sparing_word(tried: _Tried) -> str:
    """Return the word of all corrected titles that the fewest others have; empty if most do."""
    others = [title for key, title in tried.moved if key not in tried.proposal.corrections]
    if not others or not tried.corrected:
        return ""
    common = set.intersection(*(_words(title) for title in tried.corrected))
    counted = [(sum(word in title for title in others), -len(word), word) for word in common]
    best = min(counted, default=None)
    return best[2] if best and best[0] * 2 <= len(others) else ""


def _words(title: str) -> set[str]:
    parts = "".join(each if each.isalpha() else " " for each in title).split()
    return {each for each in parts if len(each) >= _SHORTEST}
