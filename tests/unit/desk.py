"""A desk: a dispatch with two destinations in memory, for tests of what comes of deliveries."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest

from daemon.core.model import Delivery, Outcome, delivery_id, message_id
from daemon.core.ports import Destination
from daemon.delivery.dispatch import Dispatch
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import Clock, active_snapshot
from tests.unit.memory import MemoryDestination


@dataclass
class Desk:
    """A dispatch with two destinations, and its results."""

    store: Store
    dispatch: Dispatch
    clock: Clock
    stopping: threading.Event
    erp: MemoryDestination
    mail: MemoryDestination
    places: dict[str, Destination]
    """Where the dispatch finds them."""

    def deliver(self) -> Counter[Outcome]:
        """Everything that is due."""
        return self.dispatch.deliver_due(self.stopping)

    def now_is(self, external_id: str = "a", destination: str = "erp") -> Delivery:
        """How a delivery stands."""
        return self.store.queries.delivery(
            str(delivery_id(message_id("altinn", external_id), destination, 1))
        )

    def outcomes(
        self, external_id: str = "a", destination: str = "erp"
    ) -> list[tuple[Outcome, str]]:
        """Every attempt of a delivery."""
        attempts = self.store.queries.attempts(
            delivery_id(message_id("altinn", external_id), destination, 1)
        )
        return [(each.outcome, each.reason) for each in attempts]


@pytest.fixture(name="desk")
def new_desk(store: Store, content: ContentFolder, clock: Clock, stopping: threading.Event) -> Desk:
    """A desk at which the content of every `stored_letter` is kept."""
    content.put([b"pdf"])

    erp, mail = MemoryDestination("erp"), MemoryDestination("mail")
    places: dict[str, Destination] = {"erp": erp, "mail": mail}
    dispatch = Dispatch(
        store=store,
        content=content,
        active=active_snapshot(places),
        clock=clock,
        give_up_after=timedelta(days=5),
    )
    return Desk(store, dispatch, clock, stopping, erp, mail, places)
