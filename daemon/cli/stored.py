"""Open the store for a command, and collect what several commands share about it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import completion
from daemon.cli.output import options

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.model import Delivery, DeliveryState
    from daemon.store import Store

Limit = Annotated[int, typer.Option(help="Maximum number to list.", min=1, max=2**31 - 1)]
State = Annotated[
    str | None,
    typer.Option(
        help="Delivery state: pending, claimed, delivered, held, dead or withdrawn.",
        autocompletion=completion.states,
    ),
]
ToDestination = Annotated[
    str | None,
    typer.Option(
        "--destination", help="Name of a destination.", autocompletion=completion.destinations
    ),
]


@contextmanager
def opened_store(context: typer.Context) -> Iterator[Store]:
    """Configure logging, and open the configured store for as long as the block runs."""
    with opened(context) as (_, store):
        yield store


@contextmanager
def opened(context: typer.Context) -> Iterator[tuple[Configuration, Store]]:
    """Do the same, and yield the configuration as well."""
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    gc.freeze()  # going through all modules takes long, and a transaction may be open then
    configuration = stack.load_configuration(options(context).config)
    store = stack.open_store(configuration)
    try:
        yield configuration, store
    finally:
        store.close()


def wake_service(configuration: Configuration) -> None:
    """Let a running service begin what was just committed."""
    from daemon.runtime import wake

    wake.wake_service(configuration.store.beside)


def delivery_facts(store: Store, delivery: Delivery) -> dict[str, Any]:
    """Collect a delivery and its attempts, as `--json` shows them."""
    attempts = [
        each.model_dump(exclude={"delivery_id", "id"})
        for each in store.queries.attempts(delivery.id)
    ]
    return {**delivery.model_dump(), "tries": attempts}


def known_state(name: str | None) -> DeliveryState | None:
    """Return the state of this name. Raises BadParameter."""
    from daemon.core.model import DeliveryState

    if name is None or name in set(DeliveryState):
        return DeliveryState(name) if name else None
    raise typer.BadParameter(unknown_name("state", name, [each.value for each in DeliveryState]))


def known_destination(configuration: Configuration, store: Store, name: str | None) -> str | None:
    """Return the name, if a destination has it or had it when something was delivered to it.

    Raises BadParameter.
    """
    names = [each.name for each in configuration.destinations]
    if name is None or name in names or store.search.has_destination(name):
        return name
    raise typer.BadParameter(unknown_name("destination", name, names))


def unknown_name(what: str, name: str, known: list[str]) -> str:
    """Return that `name` is not a valid `what`, and which ones are."""
    from daemon.core.spelling import did_you_mean

    hint = did_you_mean(name, known)
    return f"{name!r} is not a {what}; {f'{hint} ' if hint else ''}use one of: {', '.join(known)}"
