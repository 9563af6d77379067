"""Deliver several letters together, with shared syncs.

Each delivery stops where what it has written must be durable before it continues; one sync then
serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from uuid import UUID

from daemon.core.connector_calls import outcome_of
from daemon.core.errors import PostmottakError
from daemon.core.parcels import Receipt

DeliverySteps = Generator[None, None, Receipt]
"""A delivery, which stops wherever what it has written must be durable before it goes on. If the
sync fails, the failure is raised there.
"""


def run_batch(
    destination: str, works: Mapping[UUID, DeliverySteps], sync: Callable[[], None]
) -> list[Receipt | PostmottakError]:
    """Run each delivery as far as it gets, then `sync`, and so on until all have ended.

    Returns each delivery's result, in their order. A failure of one does not stop the others.
    """
    outcomes: dict[UUID, Receipt | PostmottakError] = {}
    failure: PostmottakError | None = None
    while True:
        for delivery, work in works.items():
            if delivery in outcomes:
                continue
            outcome = outcome_of(
                partial(_next_step, work, failure), destination=destination, delivery=str(delivery)
            )
            if outcome is not None:
                outcomes[delivery] = outcome
        if len(outcomes) == len(works):
            return [outcomes[delivery] for delivery in works]
        failure = outcome_of(sync, destination=destination)


def _next_step(work: DeliverySteps, failure: PostmottakError | None) -> Receipt | None:
    """Return the receipt if this was the last step, otherwise None."""
    try:
        work.throw(failure) if failure else next(work)
    except StopIteration as ended:
        receipt: Receipt = ended.value
        return receipt
    return None
