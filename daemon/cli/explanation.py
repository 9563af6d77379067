"""How `routes explain` shows an explanation to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from daemon.cli.output import counted, print_table, printable

if TYPE_CHECKING:
    from daemon.routing.decide import Decision
    from daemon.routing.explain import Explanation, Tried

_RESULTS = {
    "won": "matched",
    "copy": "copy",
    "overruled": "overruled",
    "lost": "no match",
    "not enabled": "not enabled",
}
"""What people read for each result of `explain`; `--json` has the keys.

Routes that were not reached are counted only.
"""


def print_explanation(explanation: Explanation) -> None:
    """Print every route that was tried, and the decision."""
    tried, rest = _split(explanation.tried)
    print_table(
        ("route", "result", "why"),
        [(each.route, _RESULTS[each.result], each.reason) for each in tried],
    )
    if rest:
        off = sum(each.result == "not enabled" for each in rest)
        disabled = f", {off} of them disabled" if off else ""
        typer.echo(
            f"{counted(len(rest), 'later route')} not tried{disabled}: an earlier route decided"
        )
    _print_decision(explanation.decision)


def _split(tried: Sequence[Tried]) -> tuple[Sequence[Tried], Sequence[Tried]]:
    """Return the routes up to the one that decided, and those after it, which were not tried."""
    for number, each in enumerate(tried):
        if each.result in {"won", "overruled"}:
            return tried[: number + 1], tried[number + 1 :]
    return tried, ()


def _print_decision(decision: Decision | None) -> None:
    if decision is None:
        typer.echo(
            "Confidential, and no route appoints a recipient: it stays in Altinn, and "
            "`postmottak status` lists it as waiting."
        )
        return
    if "thread" in decision.why:
        thread = decision.why["thread"]
        kind, *_, value = thread["shares"].split(":", 3)
        shared = f"{'case number' if kind == 'case' else 'reference'} {printable(value)}"
        typer.echo(f"thread: follows letter {thread['earlier']} with the same {shared}")
    for cover in decision.why.get("delegations", ()):
        typer.echo(
            f"delegation: {cover['to']} covers for {cover['from']} from {cover['starts']} to "
            f"{cover['ends']}"
        )
    for destination, names in decision.destinations.items():
        typer.echo(f"to {destination}" + (f" for {', '.join(names)}" if names else ""))
