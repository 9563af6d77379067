"""Whether a letter matches a route, condition by condition, and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.durations import duration_text
from daemon.core.folding import fold, fold_whole, is_like
from daemon.routing.facts import Facts
from daemon.routing.rows import Conditions, Route, compile_expression, compile_readable


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One condition of one route, compared with one letter."""

    condition: str
    wanted: object
    holds: bool

    @property
    def words(self) -> str:
        """The condition as it is written: `services: 4255/8, 4255/9`."""
        return f"{self.condition}: {in_words(self.wanted)}"


def in_words(value: object) -> str:
    """Return a value of the table as a person would write it."""
    if isinstance(value, tuple):
        return ", ".join(map(in_words, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return duration_text(value) if isinstance(value, timedelta) else str(value)


def wanted_values(value: object) -> tuple[str, ...]:
    """Return the values that a condition names, each as a person would write it."""
    return tuple(map(in_words, value)) if isinstance(value, tuple) else (in_words(value),)


def matches(route: Route, facts: Facts) -> bool:
    """Return whether the letter meets every condition of the route."""
    return _admits(route, facts) and all(verdict.holds for verdict in _verdicts(route, facts))


def holds(condition: str, wanted: object, facts: Facts) -> bool:
    """Return whether one condition, with a value as a route has it, holds for the letter."""
    return _TESTS[condition](wanted, facts)


def verdicts(route: Route, facts: Facts) -> list[Verdict]:
    """Compare every condition of the route with the letter, the confidential guard first."""
    guard = Verdict(
        condition="confidential", wanted=route.is_confidential, holds=_admits(route, facts)
    )
    return [*([] if guard.holds else [guard]), *_verdicts(route, facts)]


def _admits(route: Route, facts: Facts) -> bool:
    """Apply the confidential guard.

    Confidential letters match only routes for confidential post, and those match nothing else.
    """
    return route.is_confidential == facts.confidential


def _verdicts(route: Route, facts: Facts) -> Iterator[Verdict]:
    for name in route.written:
        wanted = getattr(route, name)
        yield Verdict(condition=name, wanted=wanted, holds=_TESTS[name](wanted, facts))
    for name in route.not_.written if route.not_ else ():
        wanted = getattr(route.not_, name)
        yield Verdict(condition=f"not {name}", wanted=wanted, holds=not _TESTS[name](wanted, facts))


def _service(wanted: tuple[str, ...], facts: Facts) -> bool:
    return facts.service in wanted or (facts.confidential and CONFIDENTIAL_POST.code in wanted)


def _party(wanted: tuple[str, ...], facts: Facts) -> bool:
    return facts.party in wanted


def _party_name(wanted: tuple[str, ...], facts: Facts) -> bool:
    return any(is_like(facts.folded_party_name, each) for each in wanted)


def _party_group(wanted: tuple[str, ...], facts: Facts) -> bool:
    return any(each in facts.party_groups for each in wanted)


def _sender(wanted: tuple[str, ...], facts: Facts) -> bool:
    return any(
        each == facts.sender_org if each.isdigit() else is_like(facts.folded_sender, each)
        for each in wanted
    )


def _title_contains(wanted: tuple[str, ...], facts: Facts) -> bool:
    return any(fold(words) in facts.folded_title for words in wanted)


def _title_matches(wanted: str, facts: Facts) -> bool:
    """Return whether it is found in the title as it was sent, or as a person sees it."""
    as_sent, as_seen = _compiled(wanted)
    return (
        as_sent.search(facts.title) is not None or as_seen.search(facts.readable_title) is not None
    )


@lru_cache(maxsize=20_000)
def _compiled(expression: str) -> tuple[Any, Any]:
    return compile_expression(expression), compile_readable(expression)


def _case_number(wanted: tuple[str, ...], facts: Facts) -> bool:
    return any(is_like(number, pattern) for number in facts.case_numbers for pattern in wanted)


def _reference(wanted: tuple[str, ...], facts: Facts) -> bool:
    return any(is_like(facts.folded_reference, pattern) for pattern in wanted)


def _language(wanted: tuple[str, ...], facts: Facts) -> bool:
    return fold_whole(facts.language) in {fold_whole(each) for each in wanted}


def _has_attachments(wanted: bool, facts: Facts) -> bool:  # the shape that all conditions share
    return bool(facts.attachment_names) == wanted


def _attachment_type(wanted: tuple[str, ...], facts: Facts) -> bool:
    endings = tuple(f".{fold_whole(each).lstrip('.*')}" for each in wanted if "/" not in each)
    types = [each for each in wanted if "/" in each]
    return any(
        fold_whole(name).rstrip(". ").endswith(endings) for name in facts.attachment_names
    ) or any(is_like(fold_whole(sent), each) for sent in facts.attachment_types for each in types)


def _migrated(wanted: bool, facts: Facts) -> bool:  # the shape that all conditions share
    return facts.migrated == wanted


def _due_within(wanted: timedelta, facts: Facts) -> bool:
    return facts.due_at is not None and facts.due_at - facts.at <= wanted


_TESTS: dict[str, Callable[[Any, Facts], bool]] = {
    "services": _service,
    "parties": _party,
    "party_name": _party_name,
    "party_group": _party_group,
    "senders": _sender,
    "title_contains": _title_contains,
    "title_matches": _title_matches,
    "case_numbers": _case_number,
    "senders_reference": _reference,
    "language": _language,
    "has_attachments": _has_attachments,
    "attachment_types": _attachment_type,
    "migrated": _migrated,
    "due_within": _due_within,
}
assert set(_TESTS) == set(Conditions.model_fields)
