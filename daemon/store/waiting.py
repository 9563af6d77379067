"""What waits in the outbox, grouped by destination and by why the last attempt failed.

Read-only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func
from sqlalchemy import select as sql_select
from sqlmodel import col, select

from daemon.core.model import AttemptRow, Delivery, DeliveryState, Outcome
from daemon.store.database import Database
from daemon.store.pages import ROWS, pieces, row_number

_ORDER = (col(Delivery.due_at), row_number(Delivery))
_ENDED = "the process ended during the attempt"
_WHY = func.coalesce(
    col(Delivery.last_error), case((col(Delivery.crashes) > 0, _ENDED), else_=None)
)
_GROUPED = (col(Delivery.destination), _WHY)
_COUNTED = sql_select(*_GROUPED, func.count(), func.min(col(Delivery.created_at))).group_by(
    *_GROUPED
)
_ASKED = 20  # reasons, and deliveries: so many are looked at to find out since when they fail
_FAILED = (Outcome.DEFERRED, Outcome.LOST)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Deliveries to one destination in one state, with one reason."""

    destination: str
    state: DeliveryState
    """Pending (which includes what is attempted just now) or held."""
    reason: str | None
    """Why the last attempt failed; None where none has."""
    count: int
    oldest: datetime
    """When the first of them was made."""


class WaitingDeliveries:
    """The deliveries that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def groups(self) -> Sequence[Waiting]:
        """Return all groups, the largest first.

        It costs as much as there is that waits, and no transaction is open between two pieces.
        """
        found: dict[tuple[str, DeliveryState, str | None], Waiting] = {}
        for state in (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.HELD):
            for each in self._in_state(state):
                key = each.destination, each.state, each.reason
                found[key] = _together(found[key], each) if key in found else each
        return sorted(found.values(), key=lambda each: (-each.count, each.destination))

    def failing_since(self, groups: Sequence[Waiting]) -> datetime | None:
        """Return when the first of the failing deliveries of one destination failed.

        That is the first failed attempt after its last other one; None if no attempt is recorded.
        The groups are as `groups` orders them. Only the deliveries with the most attempts are
        looked at, so the cost is bounded.
        """
        reasons = [each.reason for each in groups[:_ASKED]]
        tried = (
            select(Delivery.id)
            .where(
                col(Delivery.state).in_((DeliveryState.PENDING, DeliveryState.CLAIMED)),
                col(Delivery.destination) == groups[0].destination,
                _WHY.in_(reasons),
            )
            .order_by(col(Delivery.attempts).desc())
            .limit(_ASKED)
        )
        attempts = self._database.rows(
            select(AttemptRow)
            .where(col(AttemptRow.delivery_id).in_(self._database.rows(tried)))
            .order_by(col(AttemptRow.delivery_id), col(AttemptRow.id))
        )
        begun: dict[UUID, datetime] = {}
        for each in attempts:
            if each.outcome in _FAILED:
                begun.setdefault(each.delivery_id, each.started_at)
            else:
                begun.pop(each.delivery_id, None)
        return min(begun.values(), default=None)

    def _in_state(self, state: DeliveryState) -> Sequence[Waiting]:
        counts_as = DeliveryState.HELD if state is DeliveryState.HELD else DeliveryState.PENDING
        found: list[Waiting] = []
        for piece in pieces(self._database, _ORDER, col(Delivery.state) == state, size=ROWS):
            with self._database.read_one() as connection:
                found += [
                    Waiting(
                        destination=destination,
                        state=counts_as,
                        reason=reason,
                        count=count,
                        oldest=oldest,
                    )
                    for destination, reason, count, oldest in connection.execute(
                        _COUNTED.where(piece)
                    )
                ]
        return found


def _together(one: Waiting, other: Waiting) -> Waiting:
    return replace(one, count=one.count + other.count, oldest=min(one.oldest, other.oldest))
