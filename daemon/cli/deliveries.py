"""Commands about deliveries: list and show them, and retry, hold, release or resend them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from daemon.cli.confirmation import DryRun, Yes, confirm
from daemon.cli.json_rows import print_json_list
from daemon.cli.output import Json, counted, print_json, print_list
from daemon.cli.pages import print_delivery
from daemon.cli.stored import (
    Limit,
    State,
    ToDestination,
    delivery_facts,
    known_destination,
    known_state,
    opened,
    opened_store,
    wake_service,
)

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.model import Delivery, DeliveryState
    from daemon.store import Outbox, Store

_COLUMNS = ("id", "letter", "title", "destination", "state", "tries", "delivered or due", "reason")
_GIVES_WAY = (
    *(("reason", 20), ("title", 14), ("destination", 10)),
    *(("reason", 6), ("title", 4), ("destination", 6)),
)
"""What is cut on a narrow terminal, so that 80 columns are enough."""
_ENDED = frozenset({"delivered", "dead", "withdrawn"})
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DELIVERY...]", help="Delivery IDs, or their first characters.", show_default=False
    ),
]


@dataclass(frozen=True, kw_only=True)
class _Verb:
    """What can be done to deliveries: a command."""

    name: str
    help: str
    question: str
    done: str
    states: tuple[str, ...]
    """Of deliveries to which it can be done."""
    act: Callable[[Outbox, Sequence[UUID], datetime], object]
    wakes: bool = True
    """Whether there is something to deliver after it."""
    asks_always: bool = False
    """Whether to ask even where each delivery is named."""


_VERBS = (
    _Verb(
        name="retry",
        help="Try pending or dead deliveries now.",
        question="would be tried now",
        done="due now, for the service or the next `postmottak poll`",
        states=("pending", "dead"),
        act=lambda outbox, ids, now: outbox.retry(ids, now),
    ),
    _Verb(
        name="hold",
        help="Hold pending deliveries until they are released.",
        question="would be held",
        done="held",
        states=("pending",),
        act=lambda outbox, ids, _: outbox.hold(ids),
        wakes=False,
    ),
    _Verb(
        name="release",
        help="Release held deliveries, and try them now.",
        question="would be tried now",
        done="due now, for the service or the next `postmottak poll`",
        states=("held",),
        act=lambda outbox, ids, now: outbox.release(ids, now),
    ),
    _Verb(
        name="resend",
        help=(
            "Deliver again what was delivered or is dead, to the same destination.\n\n"
            "It uses the destination's current configuration. The receiver sees a new delivery."
        ),
        question="would be delivered again, and the receiver would see a new delivery of each",
        done="queued again",
        states=("delivered", "dead"),
        act=lambda outbox, ids, now: outbox.resend(ids, now),
        asks_always=True,
    ),
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    deliveries = typer.Typer(
        help="Inspect and manage deliveries. Each is one letter to one destination.",
        no_args_is_help=True,
    )
    deliveries.command("list")(list_deliveries)
    deliveries.command("show")(show_delivery)
    for verb in _VERBS:
        deliveries.command(verb.name, help=verb.help)(_command(verb))
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
    with opened(context) as (configuration, store):
        every = store.search.deliveries(
            state=known_state(state),
            destination=known_destination(configuration, store, destination),
            limit=limit,
        )
        if json:
            print_json_list(each.model_dump() for each in every)
            return
        found = list(every)
        names = _short_ids(store, found)
        titles = store.search.titles([each.message_id for each in found])
        waits = _waits(configuration, store)
    print_list(
        "delivery", _COLUMNS, _rows(found, names, titles, waits), cut=_GIVES_WAY, many="deliveries"
    )


def _short_ids(store: Store, found: Sequence[Delivery]) -> dict[UUID, str]:
    from daemon.core.model import Delivery, Message

    letters = list({each.message_id for each in found})
    return store.search.short_ids(Message, letters) | store.search.short_ids(
        Delivery, [each.id for each in found]
    )


def _waits(configuration: Configuration, store: Store) -> Mapping[str, str]:
    from daemon.monitoring.node_waits import node_waits

    return {
        name: each.text
        for name, each in node_waits(configuration, store, store.nodes.states()).items()
    }


def _rows(
    found: Sequence[Delivery],
    names: Mapping[UUID, str],
    titles: Mapping[UUID, str],
    waits: Mapping[str, str],
) -> Iterator[list[object]]:
    """Yield the columns for people; a due time means nothing once a delivery has ended.

    A reason that was just given is not repeated. `waits` says at which destinations deliveries wait
    for a node.
    """
    before: str | None = None
    for each in found:
        reason = None if each.state == "delivered" else each.last_error
        if each.state == "pending":
            reason = waits.get(each.destination, reason)
        yield [
            names[each.id],
            names[each.message_id],
            titles.get(each.message_id),
            each.destination,
            each.state,
            each.attempts,
            each.delivered_at if each.state in _ENDED else each.due_at,
            "as above" if reason and reason == before else reason,
        ]
        before = reason


def show_delivery(
    context: typer.Context,
    delivery: Annotated[str, typer.Argument(help="A delivery ID, or its first characters.")],
    *,
    json: Json = False,
) -> None:
    """Show one delivery and all its attempts."""
    with opened_store(context) as store:
        found = store.queries.delivery(delivery)
        facts = delivery_facts(store, found)
        letter = store.queries.message_by_id(found.message_id).model_dump(exclude={"body"})
    if json:
        print_json(facts)
        return
    print_delivery(facts, letter)


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The deliveries that a command is about: those that are named, or all that fit."""

    ids: list[UUID]
    to: Mapping[str, int]
    """How many there are to each destination."""
    named: bool

    def __str__(self) -> str:
        each = ", ".join(f"{count} to {name}" for name, count in self.to.items())
        where = f" ({each})" if len(self.to) > 1 else "".join(f" to {name}" for name in self.to)
        return f"{counted(len(self.ids), 'delivery', 'deliveries')}{where}"


def _command(verb: _Verb) -> Callable[..., None]:
    """Return the command that does it to deliveries, as its options say."""

    def command(
        context: typer.Context,
        deliveries: Ids = None,
        *,
        state: State = None,
        destination: ToDestination = None,
        dry_run: DryRun = False,
        yes: Yes = False,
        json: Json = False,
    ) -> None:
        wanted = _selected_state(verb, deliveries, state, destination)
        with opened(context) as (configuration, store):
            known_destination(configuration, store, destination)
            chosen = _choose(store, verb, deliveries, wanted, destination)
            ids = chosen.ids
            if not dry_run:
                if ids and (verb.asks_always or not chosen.named):
                    confirm(f"{chosen} {verb.question}", yes=yes)
                ids = _change(store, verb, chosen)
                if verb.wakes and ids:
                    wake_service(configuration)
        if json:
            print_json(ids)
            return
        done = f"{counted(len(ids), 'delivery', 'deliveries')} {verb.done}"
        typer.echo(f"{chosen} {verb.question}" if dry_run else done)

    command.__annotations__["state"] = Annotated[
        str | None,
        typer.Option(
            help=f"Delivery state: {' or '.join(verb.states)}.",
            autocompletion=lambda incomplete: [
                each for each in verb.states if each.startswith(incomplete)
            ],
        ),
    ]
    return command


def _selected_state(
    verb: _Verb, names: Sequence[str] | None, state: str | None, destination: str | None
) -> DeliveryState | None:
    """Return the state to select by, if there is one.

    Raises BadParameter if deliveries are neither named nor selected, or both, and for a state from
    which this verb changes nothing.
    """
    if bool(names) == any(each is not None for each in (state, destination)):
        raise typer.BadParameter(
            "either name deliveries, or select them with --state or --destination"
        )
    wanted = known_state(state)
    if wanted is not None and wanted not in verb.states:
        raise typer.BadParameter(
            f"--state {wanted}: `deliveries {verb.name}` is for deliveries that are "
            f"{' or '.join(verb.states)}"
        )
    return wanted


def _choose(
    store: Store,
    verb: _Verb,
    names: Sequence[str] | None,
    state: DeliveryState | None,
    destination: str | None,
) -> _Chosen:
    """Find the named deliveries, or all of a state or destination that allow it.

    Raises NotFound or OperatorError if one that is named is missing or in another state.
    """
    from daemon.core.model import DeliveryState
    from daemon.store.outbox import require_state

    allowed = [DeliveryState(each) for each in verb.states]
    if names:
        named = [store.queries.delivery(each) for each in names]
        for each in named:
            require_state(each, allowed)
        found = {each.id: each.destination for each in named}
    else:
        states = [each for each in allowed if state in {None, each}]
        rows = store.queries.delivery_ids(states, destination)
        found = {key: to for some in rows for key, to in some}
    return _Chosen(ids=list(found), to=Counter(found.values()), named=bool(names))


def _change(store: Store, verb: _Verb, chosen: _Chosen) -> list[UUID]:
    """Do it to all the named deliveries or to none; of others, to those that still allow it.

    These are changed in batches, beside a running service, which may have claimed some meanwhile.
    """
    from daemon.service.stack import utc_now
    from daemon.store.bulk import in_bulk

    def act(ids: Sequence[UUID]) -> None:
        verb.act(store.outbox, ids, utc_now())

    if chosen.named:
        act(chosen.ids)
        return chosen.ids
    return [key for key, done in in_bulk(chosen.ids, act) if done]
