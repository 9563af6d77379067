"""`status`: whether all is well, what needs attention, and how many letters there are."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json

if TYPE_CHECKING:
    from daemon.store import Store


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    context: typer.Context,
    *,
    json: Json = False,
    show_all: Annotated[
        bool,
        typer.Option(
            "--all", help="Show every problem, channel, letter that is not here, and alert."
        ),
    ] = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor",
            help="Print one line for a monitor. Exits with 0 OK, 1 warning, 2 critical, 3 unknown.",
        ),
    ] = False,
) -> None:
    """Show whether all is well, what needs attention, and how many letters there are.

    Exits with code 3 if anything is wrong.
    """
    from daemon.cli.status_facts import alerts, not_taken, report
    from daemon.cli.status_text import print_status
    from daemon.monitoring.completeness import completeness
    from daemon.monitoring.expiry import expiries
    from daemon.monitoring.health import assess
    from daemon.runtime import logs
    from daemon.service import stack
    from daemon.service.standing import routing_standing

    logs.configure()
    if monitor:
        raise typer.Exit(report(options(context).config))
    configuration = stack.load_configuration(options(context).config)
    store = stack.open_store(configuration)
    try:
        now = stack.utc_now()
        routing = routing_standing(configuration, store)
        health = assess(configuration, store, now, routing.faults)
        facts = {
            **_facts(store),
            "completeness": completeness(configuration, store, now).facts(),
            "not_taken": not_taken(configuration, store, now),
            "expiries": expiries(configuration),
            "troubles": [each.facts for each in health.problems],
            "passing": [each.facts for each in health.passing],
            "alerts": alerts(store, configuration.alerts.to),
        }
    finally:
        store.close()
    if json:
        verdict = {"verdict": health.verdict.name.lower(), "sentence": health.sentence}
        table = {"routing_version": routing.version, "routing": routing}
        print_json({"health": verdict, **facts, **table})
    else:
        print_status(health, facts, routing, everything=show_all)
    raise typer.Exit(Exit.REMAINS if health.problems else Exit.FINE)


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
    beside = {state.value: count for state, count in counts.sightings.items()}
    letters = counts.messages - store.balance.notices()
    return {
        "messages": counts.messages,
        "last_message_at": counts.last_message_at,
        "listed": {"total": letters + sum(beside.values()), "stored": letters, **beside},
        "deliveries": counts.deliveries,
        "oldest_undelivered_at": counts.oldest_undelivered_at,
        "marks_due": store.marks.outstanding(),
        "legal_holds": store.retention.held(),
        **seen,
        "older": counts.sightings[SightingState.OLDER],
        "incomplete": [asdict(each) for each in store.queries.incomplete()],
        "channels": [each.model_dump() for each in store.queries.bookmarks()],
        "bells": [each.model_dump() for each in store.bells.all()],
    }
