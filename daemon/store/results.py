"""Results of attempts: what each changes of its delivery, and the statements that record many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, exists, insert, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.bookkeeping import Alert
from daemon.core.model import AttemptRow, Delivery, DeliveryState, Mark, MarkState, Outcome, Policy
from daemon.core.parcels import Receipt
from daemon.store.change_each import change_each
from daemon.store.claims import Claim
from daemon.store.database import table_of

_DELIVERIES, _ATTEMPTS, _MARKS = table_of(Delivery), table_of(AttemptRow), table_of(Mark)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_CLAIMED = (
    sql_select(_DELIVERIES.c.id, _DELIVERIES.c.fence)
    .where(_DELIVERIES.c.id.in_(_IDS), _DELIVERIES.c.state == DeliveryState.CLAIMED)
    .with_for_update()
)
_ATTEMPTED = insert(_ATTEMPTS)
_RELEASE_MARKS = (
    update(_MARKS)
    .where(
        _MARKS.c.message_id.in_(_IDS),
        _MARKS.c.policy == Policy.DELIVERED,
        _MARKS.c.state == MarkState.WAITING,
        ~exists().where(
            _DELIVERIES.c.message_id == _MARKS.c.message_id,
            _DELIVERIES.c.state.not_in((DeliveryState.DELIVERED, DeliveryState.WITHDRAWN)),
        ),
        exists().where(
            _DELIVERIES.c.message_id == _MARKS.c.message_id,
            _DELIVERIES.c.state == DeliveryState.DELIVERED,
        ),
    )
    .values(state=MarkState.DUE, due_at=bindparam("now"))
)


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """The result of one attempt. Made by `delivered`, `deferred` and `dead`."""

    claim: Claim
    outcome: Outcome
    reason: str
    started_at: datetime
    ended_at: datetime
    changes: Mapping[str, object]
    """Changes of the delivery, by column."""
    alert: Alert | None = None
    """An alert that begins with it."""


def delivered(
    claim: Claim,
    receipt: Receipt,
    started_at: datetime,
    now: datetime,
    *,
    awaiting_pickup: bool = False,
    alert: Alert | None = None,
) -> ClaimResult:
    """Return the result of an attempt after which the destination has the letter.

    With `awaiting_pickup`, the receiver has not taken it yet.
    """
    evidence = _as_json({**receipt.details, "reference": receipt.reference})
    changes: dict[str, object] = {
        "state": DeliveryState.DELIVERED,
        "owner": None,
        "delivered_at": now,
        "evidence": evidence,
        "last_error": None,
        "awaiting_pickup": awaiting_pickup,
    }
    return ClaimResult(
        claim=claim,
        outcome=Outcome.DELIVERED,
        reason="",
        started_at=started_at,
        ended_at=now,
        changes=changes,
        alert=alert,
    )


def deferred(
    claim: Claim,
    reason: str,
    due_at: datetime,
    started_at: datetime,
    now: datetime,
    progress: Mapping[str, Any] | None = None,
) -> ClaimResult:
    """Return the result of an attempt that is repeated at `due_at`.

    `progress`, if any, replaces what was kept of the delivery's progress.
    """
    changes: dict[str, object] = {"state": DeliveryState.PENDING, "due_at": due_at}
    return _failed(claim, Outcome.DEFERRED, reason, started_at, now, changes, progress)


def dead(
    claim: Claim,
    reason: str,
    started_at: datetime,
    now: datetime,
    progress: Mapping[str, Any] | None = None,
) -> ClaimResult:
    """Return the result of an attempt that is not repeated automatically.

    `progress` is as for `deferred`: an operator may retry the delivery.
    """
    return _failed(
        claim, Outcome.DEAD, reason, started_at, now, {"state": DeliveryState.DEAD}, progress
    )


def _failed(
    claim: Claim,
    outcome: Outcome,
    reason: str,
    started_at: datetime,
    now: datetime,
    changes: dict[str, object],
    progress: Mapping[str, Any] | None,
) -> ClaimResult:
    reason = as_text(reason)
    changes |= {"owner": None, "last_error": reason}
    if progress is not None:
        changes["progress"] = _as_json(progress)
    return ClaimResult(
        claim=claim,
        outcome=outcome,
        reason=reason,
        started_at=started_at,
        ended_at=now,
        changes=changes,
    )


def recorded_results(session: Session, results: Sequence[ClaimResult]) -> set[UUID]:
    """Return the deliveries of which exactly these results are recorded already."""
    claims = {(each.claim.id, each.claim.fence) for each in results}
    attempts = select(AttemptRow.delivery_id, AttemptRow.fence).where(
        col(AttemptRow.delivery_id).in_([each.claim.id for each in results]),
        col(AttemptRow.outcome) != Outcome.LOST,
    )
    return {delivery for delivery, fence in session.exec(attempts) if (delivery, fence) in claims}


def record_results(session: Session, results: Sequence[ClaimResult]) -> set[UUID]:
    """Record the results of attempts.

    Returns the deliveries that were recorded: not those that have been claimed again, or have
    ended.
    """
    connection = session.connection()
    newest = {
        tuple(row)
        for row in connection.execute(_CLAIMED, {"ids": [each.claim.id for each in results]})
    }
    ours = [each for each in results if (each.claim.id, each.claim.fence) in newest]
    # those of one statement change the same columns
    for _, some in groupby(sorted(ours, key=_columns), key=_columns):
        change_each(
            connection, _DELIVERIES, [{"id": each.claim.id, **each.changes} for each in some]
        )
    if ours:
        connection.execute(_ATTEMPTED, [_attempt(each) for each in ours])
        release_marks(
            session,
            [each.claim.delivery.message_id for each in ours],
            max(each.ended_at for each in ours),
        )
    for each in ours:
        if each.alert:
            session.merge(each.alert)
    return {each.claim.id for each in ours}


def _columns(result: ClaimResult) -> list[str]:
    return sorted(result.changes)


def _attempt(result: ClaimResult) -> dict[str, object]:
    return {
        "delivery_id": result.claim.id,
        "fence": result.claim.fence,
        "started_at": result.started_at,
        "duration_ms": int((result.ended_at - result.started_at).total_seconds() * 1000),
        "outcome": result.outcome,
        "reason": result.reason,
    }


def release_marks(session: Session, messages: Sequence[UUID], now: datetime) -> None:
    """Make marks due that waited for all deliveries of their letters.

    At least one must be delivered; withdrawn ones do not count.
    """
    session.connection().execute(_RELEASE_MARKS, {"ids": list(messages), "now": now})


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a destination reported, as JSON can hold it.

    A mistake of a connector must not undo a delivery that was made.
    """
    found: dict[str, Any] = json.loads(
        as_text(json.dumps(values, default=str, ensure_ascii=False, skipkeys=True))
    )
    return found


def as_text(text: str) -> str:
    """Return the text as a database can hold it.

    Half of a surrogate pair, which names of files can have, becomes a question mark.
    """
    return text.encode("utf-8", "replace").decode()
