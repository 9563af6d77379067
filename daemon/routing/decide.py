"""The decision: which recipients and destinations get a letter, and why. Pure.

Order: the confidential guard; then the thread, if the letter belongs to one that is followed; then
routes in the table's order, of which the first that matches decides and those that say `continue`
add copies; then delegations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from daemon.core.model import DecisionValues, Policy
from daemon.core.working_days import Term
from daemon.routing.conditions import matches, verdicts
from daemon.routing.facts import Facts
from daemon.routing.rows import Route
from daemon.routing.table import Table

OPERATOR = "(operator)"
"""Takes the place of a route's name where an operator decided."""


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """An earlier letter of the same thread.

    It says which letter, by which route, and to whom it was routed before delegation.
    """

    message: str
    thread: str
    route: str
    recipients: tuple[str, ...]
    deliver_to: tuple[str, ...]


def followed(decision: DecisionValues) -> Earlier | None:
    """Return the earlier letter that this decision followed, as it was then."""
    thread = decision.why.get("thread")
    if thread is None:
        return None
    return Earlier(
        message=thread["earlier"],
        thread=thread["shares"],
        route=thread["route"],
        recipients=tuple(decision.chosen),
        deliver_to=tuple(decision.direct),
    )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Where one letter goes, and which route of which table decided it."""

    version: str
    route: str
    chosen: tuple[str, ...]
    """The recipients before delegation, copies included."""
    recipients: tuple[str, ...]
    """After delegation."""
    direct: tuple[str, ...]
    """Destinations that a route named without a recipient."""
    destinations: Mapping[str, tuple[str, ...]]
    """Each destination, and the recipients on whose behalf it gets the letter."""
    mark_read: Policy | None = None
    confirm: Policy | None = None
    respond_within: Term | None = None
    """From the letter's publishing."""
    acknowledge_within: Term | None = None
    """How soon somebody has to acknowledge the letter; None if nobody has to."""
    why: dict[str, Any] = field(default_factory=dict)
    """In JSON values: the conditions that held, the thread, the copies and the covers that changed
    something.
    """


def decide(table: Table, facts: Facts, earlier: Earlier | None = None) -> Decision | None:
    """Return where the letter goes.

    None only for a confidential letter that no route appoints a recipient for. `earlier` is the
    newest earlier letter of the same thread, if there is one.
    """
    facts = table.grouped(facts)
    copies: list[Route] = []
    for route in table.candidates(facts):
        if matches(route, facts):
            if route.continue_:
                copies.append(route)
                continue
            thread = _followed(table, facts, earlier)
            return _decision(table, facts, route, copies, thread)
    return _decision(table, facts, None, copies, None) if facts.confidential and copies else None


def assign(table: Table, facts: Facts, *chosen: str, direct: tuple[str, ...] = ()) -> Decision:
    """Return an operator's decision: the letter goes to these recipients, or to their covers.

    `direct` are destinations without a recipient.
    """
    recipients, covers = _covered(table, facts, chosen)
    return Decision(
        version=table.version,
        route=OPERATOR,
        chosen=chosen,
        recipients=recipients,
        direct=direct,
        destinations=_destinations(table, recipients, direct),
        acknowledge_within=_within(table, None, recipients, facts),
        why=_why(facts, None, [], None, covers),
    )


def recover(
    table: Table, facts: Facts, chosen: Iterable[str], direct: Iterable[str]
) -> dict[str, tuple[str, ...]] | None:
    """Return the destinations of earlier chosen recipients, with the current covers.

    None if the table no longer knows one of them: then nothing should change automatically.
    """
    if not all(name in table.recipients for name in chosen):
        return None
    recipients, _ = _covered(table, facts, tuple(chosen))
    return _destinations(table, recipients, tuple(direct))


def soonest(terms: Iterable[Term | None], at: datetime) -> Term | None:
    """Return the term that ends first, of those that begin at that time; None of none."""
    return min((each for each in terms if each), key=lambda each: each.after(at), default=None)


def _within(
    table: Table, route: Route | None, recipients: Iterable[str], facts: Facts
) -> Term | None:
    """Return how soon the letter is to be acknowledged: as its route says, or its recipients."""
    if route and route.acknowledge_within:
        return route.acknowledge_within
    return soonest((table.recipients[each].acknowledge_within for each in recipients), facts.at)


def covering(table: Table, facts: Facts, names: Iterable[str]) -> tuple[str, ...]:
    """Return the recipients after delegation."""
    return _covered(table, facts, tuple(names))[0]


def _followed(table: Table, facts: Facts, earlier: Earlier | None) -> Earlier | None:
    """Return the earlier letter, if its thread is followed and still has a recipient."""
    if earlier is None or facts.confidential or not (earlier.recipients or earlier.deliver_to):
        return None
    route = table.route(earlier.route)
    wanted = table.follow_thread or (route is not None and route.follow_thread)
    there = all(name in table.recipients for name in earlier.recipients) and (
        table.destinations is None or table.destinations.issuperset(earlier.deliver_to)
    )
    return earlier if wanted and there else None


def _decision(
    table: Table, facts: Facts, route: Route | None, copies: list[Route], thread: Earlier | None
) -> Decision:
    main = [] if route is None or thread else [route]
    first = thread.recipients if thread else ()
    chosen = _unique(
        [*first, *_names(main, "to"), *_names(copies, "to"), *_names([*main, *copies], "copy_to")]
    )
    direct = _unique(
        [*(thread.deliver_to if thread else ()), *_names([*main, *copies], "deliver_to")]
    )
    recipients, covers = _covered(table, facts, chosen)
    decided = route or copies[0]
    policies = (table.route(thread.route) or decided) if thread else decided
    return Decision(
        version=table.version,
        route=thread.route if thread else decided.name,
        chosen=chosen,
        recipients=recipients,
        direct=direct,
        destinations=_destinations(table, recipients, direct),
        mark_read=policies.mark_read,
        confirm=policies.confirm,
        respond_within=policies.respond_within,
        acknowledge_within=_within(table, policies, recipients, facts),
        why=_why(facts, None if thread else decided, copies, thread, covers),
    )


def _names(routes: Iterable[Route], action: str) -> list[str]:
    return [name for route in routes for name in getattr(route, action)]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _covered(
    table: Table, facts: Facts, chosen: tuple[str, ...]
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Return the recipients after delegation, and each cover that was followed."""
    recipients: list[str] = []
    covers: list[dict[str, Any]] = []
    for name in chosen:
        recipients += _follow(table, facts, name, covers)
    return _unique(recipients), covers


def _follow(table: Table, facts: Facts, name: str, covers: list[dict[str, Any]]) -> list[str]:
    kept: list[str] = []
    seen = {name}
    while delegation := next(
        (
            each
            for each in table.covers(name)
            if each.covers(facts.day, facts.service, confidential=facts.confidential)
        ),
        None,
    ):
        to = delegation.to or table.recipients[name].deputy
        if to in seen:
            break  # such a table is refused when it is read
        covers.append(
            {
                "from": name,
                "to": to,
                "starts": str(delegation.starts),
                "ends": str(delegation.ends),
                "reason": delegation.reason,
            }
        )
        if delegation.keep_copy:
            kept.append(name)
        seen.add(to)
        name = to
    return [name, *kept]


def _destinations(
    table: Table, recipients: tuple[str, ...], direct: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = dict.fromkeys(direct, ())
    for name in recipients:
        for destination in dict.fromkeys(table.recipients[name].deliver_to):
            found[destination] = (*found.get(destination, ()), name)
    return found


def _why(
    facts: Facts,
    route: Route | None,
    copies: list[Route],
    thread: Earlier | None,
    covers: list[dict[str, Any]],
) -> dict[str, Any]:
    why: dict[str, Any] = {}
    if thread:
        why["thread"] = {"earlier": thread.message, "shares": thread.thread, "route": thread.route}
    if route:
        why["conditions"] = [verdict.words for verdict in verdicts(route, facts)]
    if copies:
        why["copies"] = [each.name for each in copies]
    if covers:
        why["delegations"] = covers
    return why
