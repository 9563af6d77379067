"""The next generation of a delivery, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import Session, func, select

from daemon.core.model import Delivery, delivery_id


def send_again(session: Session, old: Delivery, now: datetime) -> UUID:
    """Add a delivery, due now, that delivers the same again as the next generation.

    Returns its id.
    """
    known = select(func.max(Delivery.generation)).where(
        Delivery.message_id == old.message_id, Delivery.destination == old.destination
    )
    generation = session.exec(known).one() + 1
    key = delivery_id(old.message_id, old.destination, generation)
    session.add(
        Delivery(
            id=key,
            message_id=old.message_id,
            destination=old.destination,
            recipients=old.recipients,
            decision=old.decision,
            generation=generation,
            created_at=now,
            due_at=now,
        )
    )
    return key
