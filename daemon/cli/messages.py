"""Commands about stored letters, and the list of services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import (
    Json,
    options,
    print_facts,
    print_json,
    print_table,
    to_json,
    whoami,
)
from daemon.cli.refetch import refetch_message
from daemon.cli.stored import Limit, delivery_facts, opened_store

if TYPE_CHECKING:
    from daemon.core.bookkeeping import Tombstone
    from daemon.core.model import Message
    from daemon.store import Store

MessageId = Annotated[str, typer.Argument(help="A message ID, or its first characters.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    messages = typer.Typer(help="Inspect and manage stored letters.", no_args_is_help=True)
    messages.command("list")(list_messages)
    messages.command("show")(show_message)
    messages.command("export")(export_message)
    messages.command("refetch")(refetch_message)
    messages.command("route")(route_message)
    messages.command("legal-hold")(legal_hold)
    messages.command("end-legal-hold")(end_legal_hold)
    app.add_typer(messages, name="messages")
    app.command()(services)


def list_messages(context: typer.Context, *, limit: Limit = 50, json: Json = False) -> None:
    """List the most recent letters, newest first."""
    with opened_store(context) as store:
        rows: list[dict[str, Any]] = [
            {
                "id": each.id,
                "fetched_at": each.fetched_at,
                "party": each.party,
                "service": each.service,
                "sender_org": each.sender_org,
                "sender_name": each.sender_name,
                "title": each.title,
                "due_at": each.due_at,
                "route": decision.route,
                "recipients": decision.recipients,
                "deliveries": {
                    d.destination: d.state
                    for d in store.queries.deliveries(message_id=each.id)
                    if d.state != "withdrawn"
                },
            }
            for each, decision in store.queries.messages(limit)
        ]
    if json:
        print_json(rows)
        return
    columns = ("id", "fetched_at", "service", "sender_name", "title", "route", "deliveries")
    shown = [
        {**row, "deliveries": [f"{name} {state}" for name, state in row["deliveries"].items()]}
        for row in rows
    ]
    print_table(columns, [[row[column] for column in columns] for row in shown])


def show_message(
    context: typer.Context,
    message: MessageId,
    *,
    json: Json = False,
) -> None:
    """Show one letter: its facts, why it was routed as it was, and every delivery attempt.

    Of a deleted letter, shows what was kept.
    """
    with opened_store(context) as store:
        left = store.queries.tombstone(message)
        facts = (
            _facts_left(store, left)
            if left
            else _message_facts(store, store.queries.message(message))
        )
    if json:
        print_json(facts)
        return
    if left:
        typer.echo("Retention has deleted this letter. This is what was kept:")
    print_facts(facts)


def _facts_left(store: Store, left: Tombstone) -> dict[str, Any]:
    return {
        **left.model_dump(),
        "deletions": [
            each.model_dump(exclude={"message_id"})
            for each in store.retention.deletions(message_id=left.message_id)
        ],
    }


def _message_facts(store: Store, message: Message) -> dict[str, Any]:
    return {
        **message.model_dump(exclude={"body"}),
        "attachments": [
            each.model_dump(exclude={"message_id"})
            for each in store.queries.attachments(message.id)
        ],
        "decisions": [
            each.model_dump(exclude={"message_id"}) for each in store.queries.decisions(message.id)
        ],
        "deliveries": [
            delivery_facts(store, each) for each in store.queries.deliveries(message_id=message.id)
        ],
        "marks": [
            each.model_dump(exclude={"message_id"}) for each in store.queries.marks(message.id)
        ],
        "deletions": [
            each.model_dump(exclude={"message_id"})
            for each in store.retention.deletions(message_id=message.id)
        ],
        "legal_holds": [
            each.model_dump(exclude={"message_id", "id"})
            for each in store.retention.holds(message.id)
        ],
    }


def export_message(
    context: typer.Context,
    message: MessageId,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write.  [default: MESSAGE.zip]"),
    ] = None,
) -> None:
    """Write one letter to a zip file: its text, its attachments, and all recorded facts.

    An existing file is not overwritten.
    """
    from daemon.maintenance.export import write_zip
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    store = stack.open_store(configuration)
    found = store.queries.message(message)
    target = output or Path(f"{found.id}.zip")
    facts = to_json(_message_facts(store, found))
    write_zip(
        target, found, store.queries.attachments(found.id), facts, stack.open_content(configuration)
    )
    store.close()
    typer.echo(f"written to {target}")


def route_message(
    context: typer.Context,
    message: MessageId,
    *,
    to: Annotated[
        str | None,
        typer.Option(help="Recipient. If omitted, the current routing table decides."),
    ] = None,
    json: Json = False,
) -> None:
    """Route a letter again, and deliver it to all its destinations, including earlier ones."""
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    checked = stack.load(options(context).config)
    store = stack.open_store(checked.configuration)
    key = store.queries.message(message).id
    applied = stack.rerouter(store, checked.table).route(key, to)
    store.close()
    if json:
        print_json(
            {"message": key, "added": applied.added[key], "withdrawn": applied.withdrawn[key]}
        )
        return
    typer.echo(
        f"new deliveries: {', '.join(applied.added[key]) or 'none'}; withdrawn: "
        f"{', '.join(applied.withdrawn[key]) or 'none'}"
    )


def legal_hold(
    context: typer.Context,
    message: MessageId,
    *,
    reason: Annotated[str, typer.Option(help="Reason; recorded and shown.")] = "",
) -> None:
    """Keep retention from deleting any part of a letter until the hold is ended.

    Deliveries are not affected.
    """
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        key = store.queries.message(message).id
        store.retention.hold(key, whoami(), reason, utc_now())
    typer.echo(f"message {key} is now under a legal hold")


def end_legal_hold(context: typer.Context, message: MessageId) -> None:
    """End a legal hold; retention may delete the letter again when it is due."""
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        key = store.queries.message(message).id
        store.retention.end_hold(key, whoami(), utc_now())
    typer.echo(f"message {key} is no longer under a legal hold")


def services(*, json: Json = False) -> None:
    """List the ten services of Digital post til virksomheter, and confidential post."""
    from daemon.core.dpv import ALL_SERVICES

    if json:
        print_json(ALL_SERVICES)
        return
    rows = [
        (
            each.code,
            each.nb,
            each.slug,
            [f"{r.id}{'' if r.known else ' (presumed)'}" for r in each.resources],
        )
        for each in ALL_SERVICES
    ]
    print_table(("code", "name", "slug", "Altinn 3 resources"), rows)
