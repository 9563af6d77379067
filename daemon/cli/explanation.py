"""How `routes explain` shows an explanation to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from daemon.cli.output import print_table, printable

if TYPE_CHECKING:
    from daemon.routing.explain import Explanation

_RESULTS = {
    "won": "matched",
    "copy": "copy",
    "overruled": "overruled",
    "lost": "no match",
    "not enabled": "not enabled",
    "not reached": "not tried",
}
"""What people read for each result of `explain`; `--json` has the keys."""


def print_explanation(explanation: Explanation) -> None:
    """Print every route that was tried, and the decision."""
    print_table(
        ("route", "result", "why"),
        [(each.route, _RESULTS[each.result], each.reason) for each in explanation.tried],
    )
    decision = explanation.decision
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
