"""`status`: how the service, the letters and the routing table are doing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Json, counted, options, print_json, print_table

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
            help="Print one line for a monitor. Exits with 0 OK, 1 warning, 2 critical, 3 unknown.",
        ),
    ] = False,
) -> None:
    """Show letters, deliveries, problems, mailboxes, and the state of the routing table."""
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


_SIGHTINGS = {
    "waiting": (
        "confidential letter waits in Altinn, unopened",
        "confidential letters wait in Altinn, unopened",
    ),
    "failing": ("letter could not be fetched yet", "letters could not be fetched yet"),
    "gone": (
        "letter was removed before it could be fetched",
        "letters were removed before they could be fetched",
    ),
    "duplicate": (
        "letter had been stored already, under its Altinn 2 id",
        "letters had been stored already, under their Altinn 2 ids",
    ),
}
"""What a sighting's state means, for one letter and for several."""


def _print_status(facts: dict[str, Any]) -> None:
    last = facts["last_message_at"]
    received = f"last received {last:%Y-%m-%d %H:%M:%S}" if last else "none received yet"
    typer.echo(f"{counted(facts['messages'], 'letter')} stored; {received}")
    states = (f"{count} {state}" for state, count in facts["deliveries"].items())
    typer.echo(f"deliveries: {', '.join(states)}")
    if facts["oldest_undelivered_at"]:
        typer.echo(f"oldest undelivered letter: {facts['oldest_undelivered_at']:%Y-%m-%d %H:%M:%S}")
    if facts["legal_holds"]:
        typer.echo(f"letters under a legal hold: {facts['legal_holds']}")
    for late in facts["not_taken"]:
        delivered = f"{late['delivered_at']:%Y-%m-%d %H:%M:%S}"
        typer.echo(f"not picked up in time: {late['reference']}, delivered {delivered}")
    _print_sightings(facts)
    if facts["incomplete"]:
        letters = counted(len(facts["incomplete"]), "letter lacks", "letters lack")
        typer.echo(f"{letters} attachments that were sent (see `postmottak messages refetch`):")
        columns: tuple[str, ...] = ("message", "received", "missing", "may still arrive")
        print_table(columns, [list(each.values()) for each in facts["incomplete"]])
    if read := [each for each in facts["channels"] if not each["retired_at"]]:
        keys = ("party", "service", "resource", "succeeded_at", "failed_at", "last_error")
        columns = ("party", "service", "resource", "last read", "last failure", "reason")
        print_table(columns, [[each[key] for key in keys] for each in read])


def _print_sightings(facts: dict[str, Any]) -> None:
    """Print the letters that were seen in a mailbox and are not stored."""
    columns = ("party", "service", "id", "first seen", "reason")
    for name, words in _SIGHTINGS.items():
        if facts[name]:
            typer.echo(f"{counted(len(facts[name]), *words)}:")
            print_table(columns, [list(each.values()) for each in facts[name]])
    if facts["older"]:
        older = counted(facts["older"], "letter is", "letters are")
        typer.echo(f"{older} older than the first poll; left in the mailbox")
