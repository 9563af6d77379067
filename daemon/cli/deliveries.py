"""Commands about deliveries: list and show them, and retry, hold, release or resend them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from daemon.cli.output import Json, counted, print_facts, print_json, print_table
from daemon.cli.stored import Limit, delivery_facts, opened_store

if TYPE_CHECKING:
    from daemon.core.model import Delivery, DeliveryState
    from daemon.store import Outbox, Store

_TOGETHER = 100  # deliveries changed in one transaction
State = Annotated[
    str | None, typer.Option(help="Delivery state: pending, claimed, delivered, held or dead.")
]
ToDestination = Annotated[str | None, typer.Option("--destination", help="Name of a destination.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DELIVERY...]", help="Delivery IDs, or their first characters.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    deliveries = typer.Typer(
        help="Inspect and manage deliveries. Each is one letter to one destination.",
        no_args_is_help=True,
    )
    deliveries.command("list")(list_deliveries)
    deliveries.command("show")(show_delivery)
    for command in (retry, hold, release, resend):
        deliveries.command()(command)
    app.add_typer(deliveries, name="deliveries")


def list_deliveries(
    context: typer.Context,
    *,
    state: State = None,
    destination: ToDestination = None,
    limit: Limit = 200,
    json: Json = False,
) -> None:
    """List deliveries, oldest first."""
    with opened_store(context) as store:
        found = store.queries.deliveries(state=_state(state), destination=destination, limit=limit)
    if json:
        print_json([each.model_dump() for each in found])
        return
    columns = ("id", "message_id", "destination", "state", "attempts", "due_at", "last_error")
    print_table(columns, [[_shown(each, column) for column in columns] for each in found])


def _shown(delivery: Delivery, column: str) -> object:
    """Return a column for people; a due time means nothing once a delivery has ended."""
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
        raise typer.BadParameter(
            f"{name!r} is not a state; use one of: {', '.join(DeliveryState)}"
        ) from error


def show_delivery(
    context: typer.Context,
    delivery: Annotated[str, typer.Argument(help="A delivery ID, or its first characters.")],
    *,
    json: Json = False,
) -> None:
    """Show one delivery and all its attempts."""
    with opened_store(context) as store:
        facts = delivery_facts(store, store.queries.delivery(delivery))
    if json:
        print_json(facts)
        return
    print_facts(facts)


def retry(
    context: typer.Context,
    deliveries: Ids = None,
    *,
    state: State = None,
    destination: ToDestination = None,
    json: Json = False,
) -> None:
    """Try pending or dead deliveries now."""
    _act(
        context,
        "will be tried now",
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
    """Hold pending deliveries until they are released."""
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
    """Release held deliveries, and try them now."""
    _act(
        context,
        "will be tried now",
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
    """Deliver again what was delivered or is dead, to the same destination.

    It uses the destination's current configuration. The receiver sees a new delivery.
    """
    _act(
        context,
        "queued again",
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
    """Apply a change to all the named deliveries, or to none of them.

    Without names, apply it to those of a state or destination that allow it.
    """
    from daemon.core.model import DeliveryState
    from daemon.service.stack import utc_now

    if not names and not (state or destination):
        raise typer.BadParameter("name deliveries, or select them with --state or --destination")
    with opened_store(context) as store:
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
    typer.echo(f"{counted(len(found), 'delivery', 'deliveries')} {done}")


def _act_on_all(
    store: Store,
    states: Sequence[DeliveryState],
    destination: str | None,
    act: Callable[[list[UUID]], object],
) -> Iterator[UUID]:
    """Apply a change to all deliveries in a state, in batches, beside a running service.

    They are found before the first one is changed. Deliveries that the service has claimed
    meanwhile are skipped.
    """
    wanted = [key for some in store.queries.delivery_ids(states, destination) for key in some]
    for start in range(0, len(wanted), _TOGETHER):
        some = wanted[start : start + _TOGETHER]
        yield from some if _could(act, some) else [key for key in some if _could(act, [key])]


def _could(act: Callable[[list[UUID]], object], ids: list[UUID]) -> bool:
    from daemon.core.errors import OperatorError

    try:
        act(ids)
    except OperatorError:  # one of them has changed its state meanwhile
        return False
    return True
