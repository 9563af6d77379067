"""`status`: how the service, the letters and the routing table are doing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Json, options, print_json, print_table

if TYPE_CHECKING:
    from daemon.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    *,
    json: Json = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor",
            help="Print one line for a monitor. Exit code 0 fine, 1 warning, 2 critical, 3 unknown.",
        ),
    ] = False,
) -> None:
    """Show how things stand: letters, deliveries, what waits and what is wrong, when each mailbox was last read, and the routing table."""
    from daemon.cli.status_facts import (
        alerts,
        current_problems,
        expiries,
        not_taken,
        print_expiries,
        print_standing,
        print_troubles,
        report,
        routing_standing,
    )
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    if monitor:
        raise typer.Exit(report(options(context).config))
    configuration = stack.load_configuration(options(context).config)
    store = stack.open_store(configuration)
    facts = {**_facts(store), "not_taken": not_taken(configuration, store, stack.utc_now())}
    facts["expiries"] = expiries(configuration)
    routing = routing_standing(configuration, store)
    facts |= {
        "troubles": current_problems(configuration, store, routing.faults),
        "alerts": alerts(store, configuration.alerts.to),
    }
    store.close()
    if json:
        print_json({**facts, "routing_version": routing.version, "routing": routing})
        return
    _print_status(facts)
    print_standing(routing)
    print_expiries(facts["expiries"])
    print_troubles(facts)


def _facts(store: Store) -> dict[str, Any]:
    from daemon.core.model import SightingState

    counts = store.queries.counts()
    names = {state.value: state for state in SightingState if state is not SightingState.OLDER}
    seen = {
        name: [
            {
                "party": each.party,
                "service": each.service,
                "id": each.external_id,
                "first_seen_at": each.first_seen_at,
                "reason": each.last_error,
            }
            for each in store.queries.sightings(state)
        ]
        for name, state in names.items()
    }
    return {
        "messages": counts.messages,
        "last_message_at": counts.last_message_at,
        "deliveries": counts.deliveries,
        "oldest_undelivered_at": counts.oldest_undelivered_at,
        "marks_due": store.marks.outstanding(),
        "legal_holds": store.retention.held(),
        **seen,
        "older": counts.sightings[SightingState.OLDER],
        "incomplete": [asdict(each) for each in store.queries.incomplete()],
        "channels": [each.model_dump() for each in store.queries.bookmarks()],
    }


def _print_status(facts: dict[str, Any]) -> None:
    last = facts["last_message_at"]
    typer.echo(
        f"{facts['messages']} letters stored, the last at "
        f"{last.strftime('%Y-%m-%d %H:%M:%S') if last else 'no time yet'}"
    )
    typer.echo(
        "deliveries: "
        + ", ".join(f"{count} {state}" for state, count in facts["deliveries"].items())
    )
    if facts["oldest_undelivered_at"]:
        typer.echo(
            "the oldest that is not delivered is from "
            f"{facts['oldest_undelivered_at']:%Y-%m-%d %H:%M:%S}"
        )
    if facts["legal_holds"]:
        typer.echo(f"under a legal hold: {facts['legal_holds']}")
    for late in facts["not_taken"]:
        typer.echo(
            f"not taken in time: {late['reference']}, delivered "
            f"{late['delivered_at']:%Y-%m-%d %H:%M:%S}"
        )
    words = {
        "waiting": "confidential letters wait in Altinn and were not opened",
        "failing": "letters could not be fetched yet",
        "gone": "letters were removed before they could be fetched",
        "duplicate": "letters were here already, under the id that they had in Altinn 2",
    }
    for name, text in words.items():
        if facts[name]:
            typer.echo(f"{len(facts[name])} {text}:")
            print_table(
                ("party", "service", "id", "seen", "why"),
                [list(each.values()) for each in facts[name]],
            )
    if facts["older"]:
        typer.echo(
            f"{facts['older']} letters are older than the first poll, and stay where they are"
        )
    if facts["incomplete"]:
        typer.echo(
            f"{len(facts['incomplete'])} letters are here without some of their attachments "
            "as sent (`postmottak messages refetch`):"
        )
        print_table(
            ("message", "came", "missing", "may come"),
            [list(each.values()) for each in facts["incomplete"]],
        )
    if facts["channels"]:
        columns = ("party", "service", "resource", "succeeded_at", "failed_at", "last_error")
        print_table(columns, [[each[column] for column in columns] for each in facts["channels"]])
