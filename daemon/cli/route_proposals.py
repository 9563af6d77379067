"""`routes proposals`: routes that would have done what people did by hand."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.apply_table import arrived_since
from daemon.cli.output import Json, counted, options, print_json, whoami
from daemon.cli.tables import printable

if TYPE_CHECKING:
    from daemon.routing.proposals import Proposal
    from daemon.store import Store

_TRIED = "90d"
_NAMED = 5  # letters


def list_proposals(
    context: typer.Context,
    *,
    dismiss: Annotated[
        str, typer.Option(metavar="KEY", help="Never make the proposal with this key again.")
    ] = "",
    json: Json = False,
) -> None:
    """List routes that are proposed because people moved three similar letters.

    Nothing is applied: accept a proposal on the page, or write its lines into routing.toml.
    """
    from daemon.intake import rerouting
    from daemon.intake.proposing import proposed
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    table = stack.read_routing(configuration)
    with closing(stack.open_store(configuration)) as store:
        follow = table.follows_threads
        found = proposed(
            store,
            table,
            stack.utc_now(),
            lambda: rerouting.samples(store, arrived_since(_TRIED), follow_threads=follow),
        )
        if dismiss:
            _dismiss(store, found, dismiss)
            return
    if json:
        print_json([_facts(each) for each in found])
        return
    for each in found:
        _print(each)
    if not found:
        typer.echo(
            "no proposals; a route is proposed when three letters of the same sender and service "
            "were moved to the same recipient"
        )


def _dismiss(store: Store, found: list[Proposal], key: str) -> None:
    from daemon.core.errors import NotFound
    from daemon.service.stack import utc_now

    if key not in {each.key for each in found}:
        raise NotFound(f"{key!r} is not a proposal; `postmottak routes proposals` lists them")
    now, name = utc_now(), whoami()
    store.moves.dismiss(key, name, now)
    store.events.add(now, kind="proposal-dismissed", user=name, about=key)
    typer.echo(f"the proposal {key} is not made again")


def _facts(proposal: Proposal) -> dict[str, Any]:
    return {
        "key": proposal.key,
        "from": proposal.was,
        "to": proposal.to,
        "route": proposal.values,
        "before": proposal.before,
        "corrections": proposal.corrections,
        "letters": proposal.letters,
        "would_move": proposal.moved,
        "others": proposal.others,
    }


def _print(proposal: Proposal) -> None:
    from daemon.page.editing.row_text import new_row

    away = ", ".join(proposal.was) or "no one"
    moved = counted(len(proposal.corrections), "letter")
    lines = [
        f"proposal {proposal.key}: {moved} moved from {away} to {proposal.to}",
        f"would have moved {proposal.moved} of {proposal.letters} letters of the last 90 days",
    ]
    if proposal.others:
        named = ", ".join(each[:8] for each in proposal.others[:_NAMED])
        more = len(proposal.others) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        lines.append(f"of these, nobody moved {len(proposal.others)}: {named}{rest}")
    if proposal.before:
        lines.append(f"before the route {proposal.before!r}:")
    row = new_row("route", proposal.values).rstrip()
    for line in [*lines, *(f"    {each}" for each in row.splitlines()), ""]:
        typer.echo(printable(line))
