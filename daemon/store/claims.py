"""Claims: the statements that take deliveries that are due, and what an attempt needs of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Executable, bindparam, exists, func, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col

from daemon.core.model import (
    Attachment,
    AttachmentValues,
    DecisionRow,
    DecisionValues,
    Delivery,
    DeliveryState,
    DeliveryValues,
    Message,
    MessageValues,
)
from daemon.store.database import table_of

_DELIVERIES = table_of(Delivery)
POISON_AFTER = 2
"""A delivery during which the process has ended this many times is a poison message."""


def _claiming(*which: ColumnElement[bool]) -> Executable:
    """Return a statement that claims deliveries that are due, the longest due first."""
    due = (
        sql_select(_DELIVERIES.c.id)
        .where(
            _DELIVERIES.c.state.in_((DeliveryState.PENDING, DeliveryState.CLAIMED)),
            _DELIVERIES.c.due_at <= bindparam("now"),
            *which,
        )
        .order_by(_DELIVERIES.c.due_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = (
        update(_DELIVERIES)
        .where(_DELIVERIES.c.id.in_(sql_select(due.c.id)))
        .values(
            state=DeliveryState.CLAIMED,
            owner=bindparam("claimed_by"),
            fence=_DELIVERIES.c.fence + 1,
            attempts=_DELIVERIES.c.attempts + 1,
            due_at=bindparam("lease_ends"),
        )
        .returning(*_DELIVERIES.c)
    )
    return sql_select(Delivery).from_statement(taken)


# Statements that every letter needs are built once: to build one costs more than to run it.
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
CLAIM_AT = _claiming(_DELIVERIES.c.crashes < POISON_AFTER, _DELIVERIES.c.destination.in_(_NAMES))
CLAIM_ELSEWHERE = _claiming(
    _DELIVERIES.c.crashes < POISON_AFTER, _DELIVERIES.c.destination.not_in(_NAMES)
)
_OTHERS = _DELIVERIES.alias("others")
_ELSEWHERE: BindParameter[Any] = bindparam("elsewhere", expanding=True)
CLAIM_POISON = _claiming(
    _DELIVERIES.c.crashes >= POISON_AFTER,
    _DELIVERIES.c.destination.not_in(_ELSEWHERE),
    ~exists().where(
        _OTHERS.c.state == DeliveryState.CLAIMED,
        _OTHERS.c.owner != bindparam("claimed_by"),
        _OTHERS.c.due_at > bindparam("now"),
        func.substr(_OTHERS.c.owner, 1, func.length(bindparam("ours"))) == bindparam("ours"),
    ),
)
"""Takes none while another process of the service has a claim: it must be attempted alone.

What other nodes have does not count: they do not end with this one.
"""
POISON_IN_FLIGHT = (
    sql_select(_DELIVERIES.c.id)
    .where(
        _DELIVERIES.c.state == DeliveryState.CLAIMED,
        _DELIVERIES.c.crashes >= POISON_AFTER,
    )
    .limit(1)
)
POISON_WAITS = (
    sql_select(_DELIVERIES.c.id)
    .where(
        _DELIVERIES.c.state.in_((DeliveryState.PENDING, DeliveryState.CLAIMED)),
        _DELIVERIES.c.due_at <= bindparam("now"),
        _DELIVERIES.c.crashes >= POISON_AFTER,
        _DELIVERIES.c.destination.not_in(_ELSEWHERE),
    )
    .limit(1)
)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_MESSAGES_OF = sql_select(Message).where(col(Message.id).in_(_IDS))
_DECISIONS_OF = sql_select(DecisionRow).where(col(DecisionRow.message_id).in_(_IDS))
_ATTACHMENTS_OF = (
    sql_select(Attachment)
    .where(col(Attachment.message_id).in_(_IDS))
    .order_by(col(Attachment.position))
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A delivery that is ours to attempt until `lease_ends`, with the letter that it carries."""

    delivery: DeliveryValues
    message: MessageValues
    attachments: Sequence[AttachmentValues]
    decision: DecisionValues
    lease_ends: datetime

    @property
    def id(self) -> UUID:
        """Return the delivery's id."""
        return self.delivery.id

    @property
    def fence(self) -> int:
        """Return the number of this claim of the delivery."""
        return self.delivery.fence


def with_letters(
    session: Session, deliveries: Sequence[Delivery], lease_ends: datetime
) -> list[Claim]:
    """Return the claims with their letters, read with one statement for each table."""
    ids = {"ids": list({delivery.message_id for delivery in deliveries})}
    messages = {each.id: each for each in session.execute(_MESSAGES_OF, ids).scalars()}
    decisions = {
        (each.message_id, each.number): each
        for each in session.execute(_DECISIONS_OF, ids).scalars()
    }
    attachments: dict[UUID, list[Attachment]] = defaultdict(list)
    for each in session.execute(_ATTACHMENTS_OF, ids).scalars():
        attachments[each.message_id].append(each)
    return [
        Claim(
            delivery=delivery,
            message=messages[delivery.message_id],
            attachments=tuple(attachments[delivery.message_id]),
            decision=decisions[delivery.message_id, delivery.decision],
            lease_ends=lease_ends,
        )
        for delivery in deliveries
    ]
