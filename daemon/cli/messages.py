"""Commands about letters, their deliveries, and services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from daemon.cli.output import Json, options, print_json, print_table, printable, to_json, whoami
from daemon.cli.refetch import refetch_message

if TYPE_CHECKING:
    from daemon.core.bookkeeping import Tombstone
    from daemon.core.model import Delivery, DeliveryState, Message
    from daemon.store import Outbox, Store

_TOGETHER = 100  # deliveries that are changed in one transaction
Limit = Annotated[int, typer.Option(help="How many at the most.", min=1)]
State = Annotated[str | None, typer.Option(help="pending, claimed, delivered, held or dead.")]
ToDestination = Annotated[str | None, typer.Option("--destination", help="Name of a destination.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DELIVERY...]", help="Ids, or the beginnings of ids.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    messages = typer.Typer(help="Letters that are stored.", no_args_is_help=True)
    messages.command("list")(list_messages)
    messages.command("show")(show_message)
    messages.command("export")(export_message)
    messages.command("refetch")(refetch_message)
    messages.command("route")(route_message)
    messages.command("legal-hold")(legal_hold)
    messages.command("end-legal-hold")(end_legal_hold)
    deliveries = typer.Typer(
        help="Deliveries: one letter to one destination.", no_args_is_help=True
    )
    deliveries.command("list")(list_deliveries)
    deliveries.command("show")(show_delivery)
    for command in (retry, hold, release, resend):
        deliveries.command()(command)
    app.add_typer(messages, name="messages")
    app.add_typer(deliveries, name="deliveries")
    app.command()(services)


@contextmanager
def _store(context: typer.Context) -> Iterator[Store]:
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    store = stack.open_store(stack.load_configuration(options(context).config))
    try:
        yield store
    finally:
        store.close()


def list_messages(context: typer.Context, *, limit: Limit = 50, json: Json = False) -> None:
    """List the letters that came last, the newest first."""
    with _store(context) as store:
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
    message: Annotated[str, typer.Argument(help="An id, or its beginning.")],
    *,
    json: Json = False,
) -> None:
    """Show one letter: what is known of it, why it went where it went, and every attempt to deliver it; or that it was deleted."""
    with _store(context) as store:
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
        typer.echo("Retention has deleted this letter. This is all that is left of it:")
    _print_facts(facts)


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
            _delivery_facts(store, each) for each in store.queries.deliveries(message_id=message.id)
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
    message: Annotated[str, typer.Argument(help="An id, or its beginning.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write; MESSAGE.zip if left out."),
    ] = None,
) -> None:
    """Write one letter to a zip file: its text, its attachments, and everything that is known of it. A file that is there already stays."""
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
    message: Annotated[str, typer.Argument(help="An id, or its beginning.")],
    *,
    to: Annotated[
        str | None,
        typer.Option(help="Name of the recipient; without it, the present table decides."),
    ] = None,
    json: Json = False,
) -> None:
    """Route a letter anew, and deliver it to all its destinations, also to those that have it."""
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
    message: Annotated[str, typer.Argument(help="An id, or its beginning.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept and shown.")] = "",
) -> None:
    """Let retention delete nothing of a letter until the hold is ended.

    Its deliveries go on as before.
    """
    from daemon.service.stack import utc_now

    with _store(context) as store:
        key = store.queries.message(message).id
        store.retention.hold(key, whoami(), reason, utc_now())
    typer.echo(f"message {key} is under a legal hold")


def end_legal_hold(
    context: typer.Context, message: Annotated[str, typer.Argument(help="An id, or its beginning.")]
) -> None:
    """Let retention delete a letter again when its time is over."""
    from daemon.service.stack import utc_now

    with _store(context) as store:
        key = store.queries.message(message).id
        store.retention.end_hold(key, whoami(), utc_now())
    typer.echo(f"message {key} is under no legal hold any more")


def _delivery_facts(store: Store, delivery: Delivery) -> dict[str, Any]:
    attempts = [
        each.model_dump(exclude={"delivery_id", "id"})
        for each in store.queries.attempts(delivery.id)
    ]
    return {**delivery.model_dump(), "tries": attempts}


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for number, each in enumerate(value, start=1):
                typer.echo(f"{indent}{name} {number}:")
                _print_facts(each, indent + "    ")
        elif value not in (None, "", [], {}):
            typer.echo(
                f"{indent}{name}: {', '.join(map(printable, value)) if isinstance(value, list) else printable(value)}"
            )


def list_deliveries(
    context: typer.Context,
    *,
    state: State = None,
    destination: ToDestination = None,
    limit: Limit = 200,
    json: Json = False,
) -> None:
    """List deliveries, the oldest first."""
    with _store(context) as store:
        found = store.queries.deliveries(state=_state(state), destination=destination, limit=limit)
    if json:
        print_json([each.model_dump() for each in found])
        return
    columns = ("id", "message_id", "destination", "state", "attempts", "due_at", "last_error")
    print_table(columns, [[_shown(each, column) for column in columns] for each in found])


def _shown(delivery: Delivery, column: str) -> object:
    """A column for people: when something is due means nothing once it has ended."""
    return (
        None
        if column == "due_at" and delivery.state in {"delivered", "dead", "withdrawn"}
        else getattr(delivery, column)
    )


def _state(name: str | None) -> Any:
    from daemon.core.model import DeliveryState

    if name is None:
        return None
    try:
        return DeliveryState(name)
    except ValueError as error:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(DeliveryState)}") from error


def show_delivery(
    context: typer.Context,
    delivery: Annotated[str, typer.Argument(help="An id, or its beginning.")],
    *,
    json: Json = False,
) -> None:
    """Show one delivery and every attempt of it."""
    with _store(context) as store:
        facts = _delivery_facts(store, store.queries.delivery(delivery))
    if json:
        print_json(facts)
        return
    _print_facts(facts)


def retry(
    context: typer.Context,
    deliveries: Ids = None,
    *,
    state: State = None,
    destination: ToDestination = None,
    json: Json = False,
) -> None:
    """Make pending or dead deliveries due now."""
    _act(
        context,
        "due now",
        ("pending", "dead"),
        deliveries,
        state,
        destination,
        lambda outbox, ids, now: outbox.retry(ids, now),
        json=json,
    )


def hold(
    context: typer.Context,
    deliveries: Ids = None,
    *,
    state: State = None,
    destination: ToDestination = None,
    json: Json = False,
) -> None:
    """Put pending deliveries aside until they are released."""
    _act(
        context,
        "held",
        ("pending",),
        deliveries,
        state,
        destination,
        lambda outbox, ids, _: outbox.hold(ids),
        json=json,
    )


def release(
    context: typer.Context,
    deliveries: Ids = None,
    *,
    state: State = None,
    destination: ToDestination = None,
    json: Json = False,
) -> None:
    """Make held deliveries due now."""
    _act(
        context,
        "due now",
        ("held",),
        deliveries,
        state,
        destination,
        lambda outbox, ids, now: outbox.release(ids, now),
        json=json,
    )


def resend(
    context: typer.Context,
    deliveries: Ids = None,
    *,
    state: State = None,
    destination: ToDestination = None,
    json: Json = False,
) -> None:
    """Deliver anew what has been delivered or is dead, to the same destination as configured now.

    For the receiver it is new.
    """
    _act(
        context,
        "delivered anew",
        ("delivered", "dead"),
        deliveries,
        state,
        destination,
        lambda outbox, ids, now: outbox.resend(ids, now),
        json=json,
    )


def _act(
    context: typer.Context,
    done: str,
    allowed: tuple[str, ...],
    names: list[str] | None,
    state: str | None,
    destination: str | None,
    act: Callable[[Outbox, list[UUID], datetime], object],
    *,
    json: bool,
) -> None:
    """Do something with all deliveries that are named, or with none.

    Or with those of a state or destination for which it is possible.
    """
    from daemon.core.model import DeliveryState
    from daemon.service.stack import utc_now

    if not names and not (state or destination):
        raise typer.BadParameter("name deliveries, or say which with --state or --destination")
    with _store(context) as store:
        wanted = _state(state)
        found = [store.queries.delivery(name).id for name in names or ()]
        if names:
            act(store.outbox, found, utc_now())
        else:
            states = [DeliveryState(each) for each in allowed if wanted in {None, each}]
            found = list(
                _act_on_all(
                    store, states, destination, lambda ids: act(store.outbox, ids, utc_now())
                )
            )
    if json:
        print_json(found)
        return
    typer.echo(f"{len(found)} {done}")


def _act_on_all(
    store: Store,
    states: Sequence[DeliveryState],
    destination: str | None,
    act: Callable[[list[UUID]], object],
) -> Iterator[UUID]:
    """Do something with all deliveries of a state, some at a time, so that the service can work beside it.

    They are found before the first one is changed. One that the service has taken meanwhile is left
    alone.
    """
    wanted = [key for some in store.queries.delivery_ids(states, destination) for key in some]
    for start in range(0, len(wanted), _TOGETHER):
        some = wanted[start : start + _TOGETHER]
        yield from some if _could(act, some) else [key for key in some if _could(act, [key])]


def _could(act: Callable[[list[UUID]], object], ids: list[UUID]) -> bool:
    from daemon.core.errors import OperatorError

    try:
        act(ids)
    except OperatorError:  # one of them is in another state by now
        return False
    return True


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
