"""Claims of processes that are gone: what makes their deliveries due again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlmodel import Session, select

from daemon.core.model import AttemptRow, Delivery, DeliveryState, Outcome
from daemon.store.claims import POISON_AFTER

CLAIMED = select(Delivery).where(Delivery.state == DeliveryState.CLAIMED)
LOST = "the process ended during the attempt"
STOPPED = "the service was stopped during the attempt"


def release_claims(
    session: Session, claimed: Iterable[Delivery], now: datetime, reason: str, *, blame: bool
) -> Sequence[Delivery]:
    """Make claimed deliveries due, each with a lost attempt on record.

    With `blame`, it may be the delivery that ended its process: then the third time it is dead.
    """
    released = list(claimed)
    for delivery in released:
        session.add(
            AttemptRow(
                delivery_id=delivery.id,
                fence=delivery.fence,
                started_at=now,
                duration_ms=0,
                outcome=Outcome.LOST,
                reason=reason,
            )
        )
        delivery.state, delivery.due_at, delivery.owner = DeliveryState.PENDING, now, None
        delivery.crashes += blame
        if delivery.crashes > POISON_AFTER:
            delivery.state, delivery.last_error = (
                DeliveryState.DEAD,
                "the process ended three times during its attempt",
            )
        session.add(delivery)
    return released
