"""Why a letter is routed as it is: every route tried, and the condition that decided."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.core.folding import escaped
from daemon.core.times import in_utc, written
from daemon.routing.conditions import Verdict, in_words, verdicts
from daemon.routing.decide import Decision, Earlier, decide
from daemon.routing.facts import Facts
from daemon.routing.rows import Route
from daemon.routing.table import Table


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One route, and its result."""

    route: str
    result: str
    """won, copy, overruled (by the thread), lost, not enabled, or not reached."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Every route in the table's order, and the decision.

    The decision is None only for confidential post without a recipient.
    """

    tried: tuple[Tried, ...]
    decision: Decision | None


def explain(table: Table, facts: Facts, earlier: Earlier | None = None) -> Explanation:
    """Decide about a letter, and explain why."""
    decision = decide(table, facts, earlier)
    tried: list[Tried] = []
    decided = False
    for route in table.routes:
        outcome = _try(route, facts, decided=decided)
        if outcome.result == "won":
            decided = True
            if decision and "thread" in decision.why:
                outcome = Tried(
                    route=route.name,
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
    found = verdicts(route, facts)
    lost = next((verdict for verdict in found if not verdict.holds), None)
    if lost:
        return Tried(route=route.name, result="lost", reason=_why_lost(lost, facts))
    held = escaped("; ".join(verdict.words for verdict in found)) or "it has no conditions"
    return Tried(route=route.name, result="copy" if route.continue_ else "won", reason=held)


def _why_lost(lost: Verdict, facts: Facts) -> str:
    if lost.condition == "confidential":
        return (
            "the letter is confidential, and this route is not for confidential post"
            if facts.confidential
            else "it takes only confidential post"
        )
    name = lost.condition.removeprefix("not ")
    wants = _FORBIDS[name] if name != lost.condition else _WANTS[name]
    if isinstance(lost.wanted, tuple) and len(lost.wanted) > 1:
        wants += " any of"
    return escaped(f"{wants} {in_words(lost.wanted)}; the letter has {_has(name, facts)}")


_WANTS = {
    "services": "the service must be",
    "parties": "the party must be",
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


def _has(condition: str, facts: Facts) -> str:
    count = len(facts.attachment_names)
    values = {
        "services": facts.service,
        "parties": facts.party,
        "senders": " ".join(filter(None, (facts.sender_org, facts.sender_name))),
        "title_contains": f"the title '{facts.title}'",
        "title_matches": f"the title '{facts.title}'",
        "case_numbers": ", ".join(facts.case_numbers),
        "senders_reference": facts.reference,
        "language": facts.language,
        "has_attachments": f"{count} attachment{'' if count == 1 else 's'}",
        "attachment_types": ", ".join(
            sorted({name.rpartition(".")[2] for name in facts.attachment_names})
        ),
        "migrated": str(facts.migrated).lower(),
        "due_within": written(in_utc(facts.due_at), "the due time %Y-%m-%d %H:%M UTC")
        if facts.due_at
        else "no due time",
    }
    return values[condition] or "none"
