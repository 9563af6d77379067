"""Why a letter is routed as it is: every route tried, and the condition that decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from daemon.core.folding import escaped
from daemon.core.times import in_utc, written
from daemon.routing.conditions import Verdict, in_words, verdicts, wanted_values
from daemon.routing.decide import Decision, Earlier, decide
from daemon.routing.facts import Facts
from daemon.routing.rows import Route
from daemon.routing.table import Table

_CONFIDENTIAL = "confidential"


@dataclass(frozen=True, kw_only=True)
class TriedCondition:
    """One condition of a route, and what the letter has."""

    name: str
    """As in the table, such as `senders`; `confidential` for the guard of confidential post."""
    negated: bool
    """Whether it is under `[route.not]`."""
    wanted: tuple[str, ...]
    """The values, as they are written in the table."""
    has: tuple[str, ...]
    """The letter's values; empty for none. Attachments are counted, a due time is in ISO 8601."""
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One route, and its result."""

    route: str
    result: str
    """won, copy, overruled (by the thread), lost, not enabled, or not reached."""
    reason: str
    """The same in words."""
    conditions: tuple[TriedCondition, ...] = ()
    """All of them where it matched, and the first one that failed where it lost."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Every route in the table's order, and the decision.

    The decision is None only for confidential post without a recipient.
    """

    tried: tuple[Tried, ...]
    decision: Decision | None


def explain(table: Table, facts: Facts, earlier: Earlier | None = None) -> Explanation:
    """Decide about a letter, and explain why."""
    decision, facts = decide(table, facts, earlier), table.grouped(facts)
    tried: list[Tried] = []
    decided = False
    for route in table.routes:
        outcome = _try(route, facts, decided=decided)
        if outcome.result == "won":
            decided = True
            if decision and "thread" in decision.why:
                outcome = replace(
                    outcome,
                    result="overruled",
                    reason="it matches, but the letter follows its thread",
                )
        tried.append(outcome)
    return Explanation(tried=tuple(tried), decision=decision)


def _try(route: Route, facts: Facts, *, decided: bool) -> Tried:
    if not route.enabled:
        return Tried(route=route.name, result="not enabled", reason="enabled = false")
    if decided:
        return Tried(route=route.name, result="not reached", reason="an earlier route decided")
    found = [_compared(verdict, facts) for verdict in verdicts(route, facts)]
    lost = next((each for each in found if not each.holds), None)
    if lost:
        return Tried(route=route.name, result="lost", reason=_why_lost(lost), conditions=(lost,))
    held = escaped("; ".join(map(_written, found))) or "it has no conditions"
    return Tried(
        route=route.name,
        result="copy" if route.continue_ else "won",
        reason=held,
        conditions=tuple(found),
    )


def _compared(verdict: Verdict, facts: Facts) -> TriedCondition:
    name = verdict.condition.removeprefix("not ")
    return TriedCondition(
        name=name,
        negated=name != verdict.condition,
        wanted=wanted_values(verdict.wanted),
        has=_has(name, facts),
        holds=verdict.holds,
    )


def _written(condition: TriedCondition) -> str:
    """Return the condition as it is written: `services: 4255/8, 4255/9`."""
    return f"{'not ' if condition.negated else ''}{condition.name}: {', '.join(condition.wanted)}"


def _why_lost(lost: TriedCondition) -> str:
    if lost.name == _CONFIDENTIAL:
        return (
            "the letter is confidential, and this route is not for confidential post"
            if lost.has == (in_words(True),)
            else "it takes only confidential post"
        )
    wants = _FORBIDS[lost.name] if lost.negated else _WANTS[lost.name]
    if len(lost.wanted) > 1:
        wants += " any of"
    has = _has_in_words(lost.name, lost.has)
    return escaped(f"{wants} {', '.join(lost.wanted)}; the letter has {has}")


_WANTS = {
    "services": "the service must be",
    "parties": "the party must be",
    "party_name": "the party's name must be",
    "party_group": "the party must be in the group",
    "senders": "the sender must be",
    "title_contains": "the title must contain",
    "title_matches": "the title must match",
    "case_numbers": "a case number must be",
    "senders_reference": "the sender's reference must be",
    "language": "the language must be",
    "has_attachments": "has_attachments must be",
    "attachment_types": "an attachment's type must be",
    "migrated": "migrated must be",
    "due_within": "the letter must be due within",
}
"""How each condition reads, before the values that it asks for."""
_FORBIDS = {name: words.replace(" must ", " must not ") for name, words in _WANTS.items()} | {
    "case_numbers": "no case number may be",
    "attachment_types": "no attachment's type may be",
}


def _has(condition: str, facts: Facts) -> tuple[str, ...]:
    values: dict[str, tuple[str | None, ...]] = {
        _CONFIDENTIAL: (in_words(facts.confidential),),
        "services": (facts.service,),
        "parties": (facts.party,),
        "party_name": (facts.party_name,),
        "party_group": facts.party_groups,
        "senders": (facts.sender_org, facts.sender_name),
        "title_contains": (facts.title,),
        "title_matches": (facts.title,),
        "case_numbers": tuple(facts.case_numbers),
        "senders_reference": (facts.reference,),
        "language": (facts.language,),
        "has_attachments": (str(len(facts.attachment_names)),),
        "attachment_types": tuple(
            sorted({name.rpartition(".")[2] for name in facts.attachment_names})
        ),
        "migrated": (in_words(facts.migrated),),
        "due_within": (in_utc(facts.due_at).isoformat() if facts.due_at else None,),
    }
    return tuple(value for value in values[condition] if value)


def _has_in_words(condition: str, has: tuple[str, ...]) -> str:
    if condition in {"title_contains", "title_matches"}:
        return f"the title '{''.join(has)}'"
    if condition == "has_attachments":
        return f"{has[0]} attachment{'' if has[0] == '1' else 's'}"
    if condition == "due_within":
        moment = datetime.fromisoformat(has[0]) if has else None
        return written(moment, "the due time %Y-%m-%d %H:%M UTC") if moment else "no due time"
    return (" " if condition == "senders" else ", ").join(has) or "none"
