"""Open the store for a command, and collect what several commands show of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import options

if TYPE_CHECKING:
    from daemon.core.model import Delivery
    from daemon.store import Store

Limit = Annotated[int, typer.Option(help="Maximum number to list.", min=1)]


@contextmanager
def opened_store(context: typer.Context) -> Iterator[Store]:
    """Configure logging, and open the configured store for as long as the block runs."""
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    store = stack.open_store(stack.load_configuration(options(context).config))
    try:
        yield store
    finally:
        store.close()


def delivery_facts(store: Store, delivery: Delivery) -> dict[str, Any]:
    """Collect a delivery and its attempts, as `--json` shows them."""
    attempts = [
        each.model_dump(exclude={"delivery_id", "id"})
        for each in store.queries.attempts(delivery.id)
    ]
    return {**delivery.model_dump(), "tries": attempts}
