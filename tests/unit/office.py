"""An office: a store that letters come into, and the routing table that is active there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model import Delivery, DeliveryState, message_id
from daemon.core.parcels import Receipt
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.rerouting import Rerouter
from daemon.routing.table import Table, parse_table
from daemon.store import Changed, Store, results
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import SECRET, TAX, Clock, new_intake
from tests.unit.memory import MemoryMailbox

LEASE = timedelta(hours=1)
TEXT = """\
[[recipient]]
name = "kari"
deliver_to = ["archive", "mail"]

[[recipient]]
name = "ola"
deliver_to = ["erp"]

[[recipient]]
name = "per"
deliver_to = ["mail"]

[[route]]
name = "Fortrolig"
services = ["5504/1"]
to = ["per"]

[[route]]
name = "Skatt"
title_contains = ["skatt"]
to = ["kari"]

[[route]]
name = "Alt annet"
to = ["ola"]
"""
FOR_OLA = '[[delegation]]\nfrom = "kari"\nto = "ola"\nstarts = 2026-11-24\nends = 2026-11-25\n'
TO_OLA = TEXT.replace('to = ["kari"]', 'to = ["ola"]')


@dataclass
class Office:
    """A store that letters come into, and the table that is in force there."""

    store: Store
    content: ContentFolder
    clock: Clock
    mailbox: MemoryMailbox = field(default_factory=lambda: MemoryMailbox(boxes=[TAX, SECRET]))
    table: Table = field(default_factory=lambda: parse_table(TEXT, "routing.toml", None))

    def put_in_force(self, text: str) -> None:
        """Let another table decide from now on."""
        self.table = parse_table(text, "routing.toml", None)
        self.store.letters.note_table(self.table.version, self.table.text, self.clock())

    def fetch(
        self, external_id: str = "a", policies: MarkPolicies | None = None, **changes: Any
    ) -> UUID:
        """A letter about tax, unless it is to be different, comes in now."""
        self.mailbox.publish(external_id, **{"title": "Skatt", **changes})
        summary = new_intake(self.store, self.content, self.clock, lambda: self.table).poll(
            self.mailbox, policies or MarkPolicies(), threading.Event()
        )
        assert summary.problems == []
        return message_id("altinn", external_id)

    def deliver(self, *destinations: str) -> None:
        """These destinations get what is due."""
        for claim in self.store.outbox.claim("me", self.clock(), LEASE, 99, only=destinations):
            assert self.store.outbox.end(
                [
                    results.delivered(
                        claim, Receipt(reference="x", details={}), self.clock(), self.clock()
                    )
                ]
            )

    def deliveries(self, external_id: str = "a") -> dict[str, list[Delivery]]:
        """The letter's deliveries that count, by destination, each destination's by generation."""
        found: dict[str, list[Delivery]] = {}
        for each in self.store.queries.deliveries(message_id=message_id("altinn", external_id)):
            if each.state is not DeliveryState.WITHDRAWN:
                found.setdefault(each.destination, []).append(each)
        return {
            name: sorted(each, key=lambda delivery: delivery.generation)
            for name, each in found.items()
        }

    def withdrawn(self, external_id: str = "a") -> dict[str, list[str]]:
        """The reasons of the attempts of each delivery that was withdrawn, by destination."""
        every = self.store.queries.deliveries(
            message_id=message_id("altinn", external_id), state=DeliveryState.WITHDRAWN
        )
        return {
            each.destination: [a.reason for a in self.store.queries.attempts(each.id)]
            for each in every
        }

    def try_in_vain(self, destination: str, times: int) -> None:
        """This many attempts of what is due at the destination fail, for now."""
        for number in range(1, times + 1):
            (claim,) = self.store.outbox.claim("me", self.clock(), LEASE, 9, only=[destination])
            now = self.clock()
            self.store.outbox.end([results.deferred(claim, f"no answer {number}", now, now, now)])

    def apply(self, since: datetime) -> dict[UUID, Changed]:
        """Apply the table to what came since then; the letters that changed."""
        changed: dict[UUID, Changed] = {}
        applied = self.rerouter.apply(since, changed.__setitem__)
        assert applied.changed == len(changed)
        return changed

    def goes_to(self, external_id: str = "a") -> dict[str, tuple[str, ...]]:
        """What waits: destinations, and on whose behalf."""
        every = (each for some in self.deliveries(external_id).values() for each in some)
        return {
            each.destination: tuple(each.recipients)
            for each in every
            if each.state is DeliveryState.PENDING
        }

    @property
    def rerouter(self) -> Rerouter:
        """Decides again, by the active table."""
        return Rerouter(store=self.store, table=lambda: self.table, clock=self.clock)


@pytest.fixture(name="office")
def new_office(store: Store, content: ContentFolder, clock: Clock) -> Office:
    """An office with its table in force."""
    office = Office(store, content, clock)
    office.put_in_force(TEXT)
    return office


def states(office: Office, destinations: Sequence[str]) -> list[list[DeliveryState]]:
    """How the deliveries of each destination stand."""
    return [[each.state for each in office.deliveries()[name]] for name in destinations]
