"""`nodes`: the machines that work with the store, and what each of them has in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, print_json, print_table
from daemon.cli.stored import opened
from daemon.cli.tables import local

if TYPE_CHECKING:
    from daemon.core.nodes import NodeState

_nodes = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_nodes, name="nodes")


@_nodes.callback()
def show(context: typer.Context, *, json: Json = False) -> None:
    """Show the nodes that work with the store, and what each of them has in hand.

    A node is `alive`, `stopped`, or `silent`: then others do its work. Exits with code 3 if one is
    silent. A store on SQLite has one node, which is the service on its machine.
    """
    if context.invoked_subcommand:
        return
    with opened(context) as (configuration, store):
        states = store.nodes.states()
        is_shared = store.is_shared
    if json:
        print_json([_facts(each) for each in states])
    elif states:
        _print([_facts(each) for each in states])
    elif is_shared:
        typer.echo("No node has worked with the store yet.")
    else:
        typer.echo(
            f"The store has one node, the service on this machine: {configuration.store.database}"
        )
    silent = any(_state(each) == "silent" for each in states)
    raise typer.Exit(Exit.REMAINS if silent else Exit.FINE)


@_nodes.command()
def forget(
    context: typer.Context, name: Annotated[str, typer.Argument(help="Name of a node.")]
) -> None:
    """Remove a node that does not come back from the list.

    A node that is alive cannot be removed. One that is removed and comes back is there again.
    """
    with opened(context) as (_, store):
        store.nodes.forget(name)
    typer.echo(f"The node {name} is forgotten.")


def _state(state: NodeState) -> str:
    if state.alive:
        return "alive"
    return "stopped" if state.node.stopped_at else "silent"


def _facts(state: NodeState) -> dict[str, Any]:
    node = state.node
    return {
        "name": node.name,
        "host": node.host,
        "pid": node.pid,
        "version": node.version,
        "alive": state.alive,
        "state": _state(state),
        "started_at": node.started_at,
        "seen_at": node.seen_at,
        "claims": state.claims,
        "parties": state.parties,
        "duties": list(state.duties),
    }


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    headings = ["name", "host", "pid", "version", "state", "seen", "claims", "parties", "duties"]
    print_table(
        headings,
        [
            [
                *(row[name] for name in headings[:5]),
                local(row["seen_at"]),
                row["claims"],
                row["parties"],
                ", ".join(row["duties"]),
            ]
            for row in rows
        ],
    )
