"""Claims of deliveries in the outbox, and the ways in which they end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from daemon.core.model import Delivery, delivery_id, message_id
from daemon.core.parcels import Receipt
from daemon.store import Claim, Outbox, Store, results
from tests.unit.conftest import NOW

LEASE = timedelta(hours=1)
RECEIPT = Receipt(reference="/srv/erp/x", details={"files": ["a"]})
SECOND = timedelta(seconds=1)

End = Callable[[Outbox, Claim], set[UUID]]
ENDS: dict[str, End] = {
    "delivered": lambda outbox, claim: outbox.end(
        [results.delivered(claim, RECEIPT, NOW, NOW + SECOND)]
    ),
    "deferred": lambda outbox, claim: outbox.end(
        [results.deferred(claim, "nobody is at home", NOW + LEASE, NOW, NOW + SECOND)]
    ),
    "dead": lambda outbox, claim: outbox.end(
        [results.dead(claim, "no such folder", NOW, NOW + SECOND)]
    ),
}


def delivery_of(external_id: str, destination: str = "erp") -> UUID:
    """The id of a delivery."""
    return delivery_id(message_id("altinn", external_id), destination, 1)


def now_is(store: Store, external_id: str = "a", destination: str = "erp") -> Delivery:
    """How the delivery stands."""
    return store.queries.delivery(str(delivery_of(external_id, destination)))


def claim_one(store: Store, now: datetime = NOW) -> Claim:
    """The only delivery that is due."""
    (claim,) = store.outbox.claim("me", now, LEASE, 10)
    return claim
