"""Why a letter goes where it goes: every route that was tried, and the condition that decided."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.core.folding import escaped
from daemon.routing.conditions import Verdict, in_words, verdicts
from daemon.routing.decide import Decision, Earlier, decide
from daemon.routing.facts import Facts
from daemon.routing.rows import Route
from daemon.routing.table import Table


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One route, and what came of it."""

    route: str
    result: str
    """won, copy, overruled (by the thread), lost, not enabled, or not reached."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Every route in the table's order, and the decision.

    No decision only for confidential post without a recipient.
    """

    tried: tuple[Tried, ...]
    decision: Decision | None


def explain(table: Table, facts: Facts, earlier: Earlier | None = None) -> Explanation:
    """Decide about a letter, and say why."""
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
                    reason="it would have decided, but the letter follows its thread",
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
            else "it takes confidential post only"
        )
    name = lost.condition.removeprefix("not ")
    wants = "must not be" if name != lost.condition else "must be"
    return escaped(f"{name} {wants} {in_words(lost.wanted)}; the letter has {_has(name, facts)}")


def _has(condition: str, facts: Facts) -> str:
    values = {
        "services": facts.service,
        "parties": facts.party,
        "senders": " ".join(filter(None, (facts.sender_org, facts.sender_name))),
        "title_contains": f"the title '{facts.title}'",
        "title_matches": f"the title '{facts.title}'",
        "case_numbers": ", ".join(facts.case_numbers),
        "senders_reference": facts.reference,
        "language": facts.language,
        "has_attachments": f"{len(facts.attachment_names)} attachments",
        "attachment_types": ", ".join(
            sorted({name.rpartition(".")[2] for name in facts.attachment_names})
        ),
        "migrated": str(facts.migrated).lower(),
        "due_within": f"the due time {facts.due_at:%Y-%m-%d %H:%M}"
        if facts.due_at
        else "no due time",
    }
    return values[condition] or "none"
