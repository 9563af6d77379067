"""The outbox: deliveries that are not final, and all changes of their state.

    pending -> claimed -> delivered
    claimed -> dead                     (permanent, or too old)
    claimed -> pending                  (deferred, or the claim's process is gone)
    pending <-> held, dead -> pending   (an operator)
    pending, held, dead -> withdrawn    (an operator or a cover sends the letter elsewhere)

A claim is a lease: `due_at` pushed into the future. It carries a fence, the count of claims;
a result names the fence, and one with an old fence changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Executable, bindparam, func, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.errors import NotFound, OperatorError
from daemon.core.model import Delivery, DeliveryState
from daemon.store.abandoned import CLAIMED, LOST, STOPPED, release_claims
from daemon.store.claims import (
    CLAIM_AT,
    CLAIM_ELSEWHERE,
    CLAIM_POISON,
    POISON_WAITS,
    Claim,
    with_letters,
)
from daemon.store.database import Database, table_of
from daemon.store.generations import send_again
from daemon.store.pages import LETTERS, pieces, row_number
from daemon.store.results import ClaimResult, as_text, record_results, recorded_results

_DELIVERIES = table_of(Delivery)
_RENEW = update(_DELIVERIES).where(
    _DELIVERIES.c.id == bindparam("claimed"),
    _DELIVERIES.c.fence == bindparam("with_fence"),
    _DELIVERIES.c.state == DeliveryState.CLAIMED,
)
_NEXT_DESTINATION = sql_select(func.min(_DELIVERIES.c.destination)).where(
    _DELIVERIES.c.state == bindparam("state"), _DELIVERIES.c.destination > bindparam("after")
)
_FIRST_DUE = (
    sql_select(_DELIVERIES.c.due_at)
    .where(
        _DELIVERIES.c.state == bindparam("state"), _DELIVERIES.c.destination == bindparam("name")
    )
    .order_by(_DELIVERIES.c.due_at)
    .limit(1)
)
_FINAL = (DeliveryState.DELIVERED, DeliveryState.WITHDRAWN)
RETRIED = (DeliveryState.PENDING, DeliveryState.DEAD)
HELD_BACK = (DeliveryState.PENDING,)
RELEASED = (DeliveryState.HELD,)
RESENT = (DeliveryState.DELIVERED, DeliveryState.DEAD)
"""The states of deliveries that an operator may retry, hold, release and resend."""


class Outbox:
    """The outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        *,
        only: Collection[str] = (),
        exclude: Collection[str] = (),
    ) -> list[Claim]:
        """Take up to `limit` deliveries that are due, the longest due first.

        One whose lease ran out is due as well. With `only`, those to these destinations; with
        `exclude`, none to these. Poison messages, during which the process has ended `POISON_AFTER`
        times, are left to `claim_poison`.
        """
        names = {"names": list(only or exclude)}
        return self._claim(
            CLAIM_AT if only else CLAIM_ELSEWHERE, owner, now, lease, limit=limit, **names
        )

    def claim_poison(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        ours: str = "",
        elsewhere: Collection[str] = (),
    ) -> list[Claim]:
        """Take one poison message that is due, if any, to attempt it alone.

        None to a destination `elsewhere`, and none while another owner has claims whose name begins
        with `ours`.
        """
        values = {"limit": 1, "ours": ours, "elsewhere": list(elsewhere)}
        return self._claim(CLAIM_POISON, owner, now, lease, **values)

    def poison_waits(self, now: datetime, elsewhere: Collection[str] = ()) -> bool:
        """Whether a poison message is due, to another destination than these."""
        values = {"now": now, "elsewhere": list(elsewhere)}
        with self._database.read_one() as connection:
            return connection.execute(POISON_WAITS, values).first() is not None

    def _claim(
        self, statement: Executable, owner: str, now: datetime, lease: timedelta, **values: object
    ) -> list[Claim]:
        lease_ends = now + lease
        values |= {"now": now, "claimed_by": owner, "lease_ends": lease_ends}

        with self._database.write() as session:
            deliveries = list(session.execute(statement, values).scalars())
            return with_letters(session, deliveries, lease_ends) if deliveries else []

    def renew(self, claims: Collection[Claim], until: datetime) -> None:
        """Extend the leases of attempts that take long."""
        rows = [
            {"claimed": claim.id, "with_fence": claim.fence, "due_at": until} for claim in claims
        ]
        if rows:
            with self._database.write() as session:
                session.connection().execute(_RENEW, rows)

    def renew_of(self, owners: Collection[str], until: datetime) -> None:
        """Extend the leases of all that these processes have claimed."""
        if owners:
            claimed = col(Delivery.state) == DeliveryState.CLAIMED
            with self._database.write() as session:
                session.execute(
                    update(Delivery)
                    .where(claimed, col(Delivery.owner).in_(owners))
                    .values(due_at=until)
                )

    def end(self, endings: Sequence[ClaimResult]) -> set[UUID]:
        """Record the results of claims in one transaction.

        These are attempts, states, and the marks that follow. Returns the deliveries whose result
        was recorded. A delivery whose claim is no longer the newest does not change. Where the
        database is waited for, results are recorded when it is back.
        """

        def record(again: bool) -> set[UUID]:
            with self._database.write() as session:
                recorded = recorded_results(session, endings) if again else set[UUID]()
                left = [each for each in endings if each.claim.id not in recorded]
                return record_results(session, left) | recorded

        return self._database.repeated(record)

    def final_of(self, ids: Collection[UUID]) -> set[UUID]:
        """Return those of the deliveries that will not be attempted again, whatever is asked."""
        wanted = select(Delivery.id).where(
            col(Delivery.id).in_(ids), col(Delivery.state).in_(_FINAL)
        )
        return set(self._database.rows(wanted))

    def release_abandoned(
        self,
        now: datetime,
        *,
        owner: str | None = None,
        stopped: bool = False,
        reason: str = "",
    ) -> int:
        """Make every claim due at once: its process has ended or, if `stopped`, is stopping.

        With `owner`, those of this process only; otherwise call it only while no other process
        uses the store. Each claim is recorded as a lost attempt. A third one makes the delivery
        dead, because it may be what ends the process; an orderly stop does not count. Returns how
        many there were.
        """
        wanted = CLAIMED if owner is None else CLAIMED.where(Delivery.owner == owner)
        with self._database.write() as session:
            claimed = session.exec(wanted).all()
            why = reason or (STOPPED if stopped else LOST)
            return len(release_claims(session, claimed, now, why, blame=not stopped))

    def next_due(self, exclude: Collection[str] = ()) -> datetime | None:
        """Return when the next delivery is due, or None.

        Claimed ones are due at the end of their lease; those to `exclude` do not count. The cost
        grows with the destinations, not with what waits.
        """
        with self._database.read() as session:
            connection = session.connection()
            return min(
                (
                    due
                    for state in (DeliveryState.PENDING, DeliveryState.CLAIMED)
                    for name in _destinations(connection, state)
                    if name not in exclude
                    for due in connection.execute(
                        _FIRST_DUE, {"state": state, "name": name}
                    ).scalars()
                ),
                default=None,
            )

    def awaiting_pickup(self, only: Collection[str] = ()) -> Iterator[Delivery]:
        """Yield deliveries whose pickup is awaited, the oldest first.

        With `only`, at these destinations. They are read in batches, and no transaction is open
        between two of them.
        """
        awaited = col(Delivery.awaiting_pickup).is_(True)
        for piece in pieces(
            self._database,
            (col(Delivery.delivered_at), row_number(Delivery)),
            awaited,
            size=LETTERS,
        ):
            wanted = select(Delivery).where(piece).order_by(col(Delivery.delivered_at))
            if only:
                wanted = wanted.where(col(Delivery.destination).in_(only))
            yield from self._database.rows(wanted)

    def picked_up(
        self, delivery: UUID, now: datetime, rejection: str | None, *, if_awaited: bool = False
    ) -> bool:
        """Record that the receiver has taken what was delivered, or why it has rejected it.

        With `if_awaited`, only if neither is recorded yet. Returns whether it was recorded.
        """
        changes = {
            "awaiting_pickup": False,
            "rejection": as_text(rejection) if rejection is not None else None,
        }
        with self._database.write() as session:
            wanted = [
                col(Delivery.id) == delivery,
                *([col(Delivery.awaiting_pickup).is_(True)] if if_awaited else []),
            ]
            changed = session.execute(
                update(Delivery)
                .where(*wanted)
                .values(taken_at=None if rejection else now, **changes)
            )
        return bool(getattr(changed, "rowcount", 0))

    def answered(self, delivery: UUID, now: datetime, rejection: str | None) -> bool:
        """The receiver says that it has taken what was delivered; or rejects it, and why.

        Nothing is changed, and False returned, if it was not delivered or was answered before.
        """
        changes = {
            "awaiting_pickup": False,
            "taken_at": now if rejection is None else None,
            "rejection": None if rejection is None else as_text(rejection),
        }
        unanswered = (
            col(Delivery.id) == delivery,
            col(Delivery.state) == DeliveryState.DELIVERED,
            col(Delivery.taken_at).is_(None),
            col(Delivery.rejection).is_(None),
        )
        with self._database.write() as session:
            changed = session.execute(update(Delivery).where(*unanswered).values(**changes))
        return bool(getattr(changed, "rowcount", 0))

    def retry(self, ids: Sequence[UUID], now: datetime) -> int:
        """Make pending and dead deliveries due now. Returns how many changed.

        Nothing fails until the next attempt has; the earlier ones stay on record.
        """
        return self._operator(
            ids,
            RETRIED,
            {"state": DeliveryState.PENDING, "due_at": now, "crashes": 0, "last_error": None},
        )

    def make_due(self, ids: Collection[UUID], now: datetime) -> None:
        """Make those of the deliveries due now that wait for a later attempt."""
        wanted = (
            col(Delivery.id).in_(ids),
            col(Delivery.state) == DeliveryState.PENDING,
            col(Delivery.due_at) > now,
        )
        with self._database.write() as session:
            session.execute(update(Delivery).where(*wanted).values(due_at=now))

    def hold(self, ids: Sequence[UUID]) -> int:
        """Put pending deliveries aside until they are released. Returns how many changed."""
        return self._operator(ids, HELD_BACK, {"state": DeliveryState.HELD})

    def release(self, ids: Sequence[UUID], now: datetime) -> int:
        """Make held deliveries due now. Returns how many changed."""
        return self._operator(
            ids,
            RELEASED,
            {"state": DeliveryState.PENDING, "due_at": now, "last_error": None},
        )

    def resend(self, ids: Sequence[UUID], now: datetime) -> list[UUID]:
        """Deliver again, as the next generation, what is delivered or dead.

        Returns the new ids. Raises: the errors of `retry`.
        """
        with self._database.write() as session:
            return [send_again(session, _one(session, each, RESENT), now) for each in ids]

    def _operator(
        self, ids: Sequence[UUID], allowed: tuple[DeliveryState, ...], changes: dict[str, object]
    ) -> int:
        """Change all of the deliveries, or none.

        Raises NotFound or OperatorError if one is missing or in another state.
        """
        with self._database.write() as session:
            for start in range(0, len(ids), LETTERS):
                these = col(Delivery.id).in_(ids[start : start + LETTERS])
                found = {each.id: each for each in session.exec(select(Delivery).where(these))}
                for delivery_id in ids[start : start + LETTERS]:
                    _allowed(found.get(delivery_id), delivery_id, allowed)
                session.execute(update(Delivery).where(these).values(**changes))
        return len(ids)


def _destinations(connection: Connection, state: DeliveryState) -> Iterator[str]:
    """Yield the destinations with deliveries in this state: one step in the index for each."""
    after: str | None = ""
    while after is not None:
        after = connection.execute(_NEXT_DESTINATION, {"state": state, "after": after}).scalar()
        if after is not None:
            yield after


def _one(session: Session, delivery_id: UUID, allowed: tuple[DeliveryState, ...]) -> Delivery:
    return _allowed(session.get(Delivery, delivery_id), delivery_id, allowed)


def _allowed(
    delivery: Delivery | None, delivery_id: UUID, allowed: tuple[DeliveryState, ...]
) -> Delivery:
    if delivery is None:
        raise NotFound(
            f"The delivery {delivery_id} does not exist; list them with "
            "`postmottak deliveries list`"
        )
    require_state(delivery, allowed)
    return delivery


def require_state(delivery: Delivery, allowed: Sequence[DeliveryState]) -> None:
    """Raise OperatorError, which says why, if the delivery is in none of the states."""
    if delivery.state in allowed:
        return
    if delivery.state is DeliveryState.WITHDRAWN:
        raise OperatorError(
            f"The delivery {delivery.id} was withdrawn, because its letter goes elsewhere; "
            f"to send the letter again, use `postmottak messages route {delivery.message_id}`"
        )
    raise OperatorError(
        f"The delivery {delivery.id} is {delivery.state}; this is for deliveries that are "
        f"{' or '.join(allowed)}"
    )
