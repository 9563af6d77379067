"""The outbox: deliveries that are not final, and the only changes of state that there are.

    pending -> claimed -> delivered         claimed -> dead        (permanent, or too old)
    claimed -> pending (deferred, or the claim's process is gone)  pending <-> held, dead -> pending (an operator)

A claim is a lease: `due_at` pushed into the future. It carries a fence, the count of claims; whoever finishes names the fence,
and a result that comes with an old one changes nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Executable, bindparam, exists, func, insert, update
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.errors import NotFound, OperatorError
from daemon.model import Attachment, Attempt, Decision, Delivery, DeliveryState, Mark, MarkState, Message, Outcome, Policy, Receipt
from daemon.model import delivery_id as derived_id
from daemon.records import Alert
from daemon.store.engine import Database, table_of

_DELIVERIES, _ATTEMPTS, _MARKS = table_of(Delivery), table_of(Attempt), table_of(Mark)
SUSPECT = 2
"""A delivery at which the process has ended so many times is suspected of killing it."""


def _claiming(*which: ColumnElement[bool]) -> Executable:
    """Takes deliveries that are due, the longest due first, and reads them."""
    due = (
        sql_select(_DELIVERIES.c.id)
        .where(_DELIVERIES.c.state.in_((DeliveryState.PENDING, DeliveryState.CLAIMED)), _DELIVERIES.c.due_at <= bindparam("now"), *which)
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


# Statements of which every letter needs some are made once: to make one costs more than to carry it out.
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_CLAIM_AT = _claiming(_DELIVERIES.c.crashes < SUSPECT, _DELIVERIES.c.destination.in_(_NAMES))
_CLAIM_ELSEWHERE = _claiming(_DELIVERIES.c.crashes < SUSPECT, _DELIVERIES.c.destination.not_in(_NAMES))
_CLAIM_SUSPECT = _claiming(_DELIVERIES.c.crashes >= SUSPECT)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_MESSAGES_OF = sql_select(Message).where(col(Message.id).in_(_IDS))
_DECISIONS_OF = sql_select(Decision).where(col(Decision.message_id).in_(_IDS))
_ATTACHMENTS_OF = sql_select(Attachment).where(col(Attachment.message_id).in_(_IDS)).order_by(col(Attachment.position))
_IF_NEWEST = update(_DELIVERIES).where(
    _DELIVERIES.c.id == bindparam("claimed"),
    _DELIVERIES.c.fence == bindparam("with_fence"),
    _DELIVERIES.c.state == DeliveryState.CLAIMED,
)
_ATTEMPTED = insert(_ATTEMPTS)
_RELEASE_MARKS = (
    update(_MARKS)
    .where(
        _MARKS.c.message_id == bindparam("message"),
        _MARKS.c.policy == Policy.DELIVERED,
        _MARKS.c.state == MarkState.WAITING,
        ~exists().where(_DELIVERIES.c.message_id == bindparam("message"), _DELIVERIES.c.state != DeliveryState.DELIVERED),
    )
    .values(state=MarkState.DUE, due_at=bindparam("now"))
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A delivery that is ours to attempt until `lease_ends`, with the letter that it carries."""

    delivery: Delivery
    message: Message
    attachments: Sequence[Attachment]
    decision: Decision
    lease_ends: datetime

    @property
    def id(self) -> UUID:
        """The delivery's id."""
        return self.delivery.id

    @property
    def fence(self) -> int:
        """Which claim of the delivery this is."""
        return self.delivery.fence


class Outbox:
    """The outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, owner: str, now: datetime, lease: timedelta, limit: int, *, only: Collection[str] = (), but: Collection[str] = ()
    ) -> list[Claim]:
        """Take up to `limit` deliveries that are due, the longest due first. One whose lease ran out is due as well.

        With `only`, those to these destinations; with `but`, none to these. Suspects, at which the process has ended `SUSPECT`
        times, are left to `claim_suspect`.
        """
        names = {"names": list(only or but)}
        return self._claim(_CLAIM_AT if only else _CLAIM_ELSEWHERE, owner, now, lease, limit=limit, **names)

    def claim_suspect(self, owner: str, now: datetime, lease: timedelta) -> list[Claim]:
        """Take one suspect that is due, if there is any: it is to be attempted alone, so that it is known who killed the process."""
        return self._claim(_CLAIM_SUSPECT, owner, now, lease, limit=1)

    def _claim(self, statement: Executable, owner: str, now: datetime, lease: timedelta, **values: object) -> list[Claim]:
        lease_ends = now + lease
        values |= {"now": now, "claimed_by": owner, "lease_ends": lease_ends}

        def take(session: Session) -> list[Claim]:
            deliveries = list(session.execute(statement, values).scalars())
            return _with_letters(session, deliveries, lease_ends) if deliveries else []

        return self._database.write_together(take)

    def renew(self, claims: Collection[Claim], until: datetime) -> None:
        """Let the leases of attempts that take long end later."""
        with self._database.write() as session:
            for claim in claims:
                _change_if_newest(session, claim, {"due_at": until})

    def note_progress(self, claim: Claim, progress: Mapping[str, Any]) -> None:
        """Keep what a destination has done of a delivery so far, while the attempt goes on."""
        changes = {"progress": _as_json(progress)}
        self._database.write_together(lambda session: _change_if_newest(session, claim, changes))

    def delivered(
        self,
        claim: Claim,
        receipt: Receipt,
        started_at: datetime,
        now: datetime,
        *,
        awaiting_pickup: bool = False,
        alert: Alert | None = None,
    ) -> bool:
        """End a claim: the destination has it. False, and nothing is changed, if the claim is no longer the newest.

        With `awaiting_pickup`, it is still to be seen whether the receiver takes it. An `alert` begins in the same moment.
        """
        evidence = _as_json({**receipt.details, "reference": receipt.reference})
        changes = {"state": DeliveryState.DELIVERED, "delivered_at": now, "evidence": evidence, "last_error": None}
        changes["awaiting_pickup"] = awaiting_pickup

        def end(session: Session) -> bool:
            ours = _finish(session, claim, changes, Outcome.DELIVERED, "", started_at, now)
            if ours:
                release_marks(session, claim.delivery.message_id, now)
                if alert:
                    session.merge(alert)
            return ours

        return self._database.write_together(end)

    def deferred(
        self, claim: Claim, reason: str, due_at: datetime, started_at: datetime, now: datetime, progress: Mapping[str, Any] | None = None
    ) -> bool:
        """End a claim: try again at `due_at`. False, and nothing is changed, if the claim is no longer the newest.

        `progress`, if there is any, takes the place of what was kept of the delivery's progress.
        """
        reason = _as_text(reason)
        changes: dict[str, object] = {"state": DeliveryState.PENDING, "due_at": due_at, "last_error": reason}
        if progress is not None:
            changes["progress"] = _as_json(progress)
        return self._database.write_together(lambda session: _finish(session, claim, changes, Outcome.DEFERRED, reason, started_at, now))

    def dead(self, claim: Claim, reason: str, started_at: datetime, now: datetime, progress: Mapping[str, Any] | None = None) -> bool:
        """End a claim: it is not tried again by itself. False, and nothing is changed, if the claim is no longer the newest.

        `progress` is as for `deferred`: an operator may let it be tried again.
        """
        reason = _as_text(reason)
        changes: dict[str, object] = {"state": DeliveryState.DEAD, "last_error": reason}
        if progress is not None:
            changes["progress"] = _as_json(progress)
        return self._database.write_together(lambda session: _finish(session, claim, changes, Outcome.DEAD, reason, started_at, now))

    def release_abandoned(self, now: datetime, *, stopped: bool = False) -> int:
        """Make every claim due at once: whoever made it is gone, or, if `stopped`, is told to go. Only for a caller that is alone.

        Each is recorded as an attempt that was lost. A third one makes the delivery dead, for it may be what ends the process; one that
        an orderly stop cut off is not blamed. Returns how many there were.
        """
        with self._database.write() as session:
            abandoned = session.exec(select(Delivery).where(Delivery.state == DeliveryState.CLAIMED)).all()
            for delivery in abandoned:
                session.add(
                    Attempt(
                        delivery_id=delivery.id,
                        fence=delivery.fence,
                        started_at=now,
                        duration_ms=0,
                        outcome=Outcome.LOST,
                        reason="the service was stopped during the attempt" if stopped else "the process ended during the attempt",
                    )
                )
                delivery.state, delivery.due_at, delivery.owner = DeliveryState.PENDING, now, None
                delivery.crashes += not stopped
                if delivery.crashes > SUSPECT:
                    delivery.state, delivery.last_error = DeliveryState.DEAD, "the process ended three times during its attempt"
                session.add(delivery)
            return len(abandoned)

    def next_due(self, but: Collection[str] = ()) -> datetime | None:
        """When the next delivery is due, claimed ones at the end of their lease, `but` for some destinations; None if there is none."""
        waiting = col(Delivery.state).in_((DeliveryState.PENDING, DeliveryState.CLAIMED)) & col(Delivery.destination).not_in(but)
        with self._database.read() as session:
            return session.exec(select(Delivery.due_at).where(waiting).order_by(col(Delivery.due_at)).limit(1)).first()

    def awaiting_pickup(self, only: Collection[str] = ()) -> list[Delivery]:
        """Deliveries of which it is to be seen whether the receiver takes them, the oldest first; with `only`, at these destinations."""
        wanted = select(Delivery).where(col(Delivery.awaiting_pickup).is_(True)).order_by(col(Delivery.delivered_at))
        if only:
            wanted = wanted.where(col(Delivery.destination).in_(only))
        with self._database.read() as session:
            return list(session.exec(wanted))

    def picked_up(self, delivery: UUID, now: datetime, rejection: str | None, *, if_awaited: bool = False) -> bool:
        """The receiver has taken what was delivered; or has rejected it, and why.

        With `if_awaited`, only where nothing has been heard of it yet. Returns whether it was noted.
        """
        changes = {"awaiting_pickup": False, "rejection": _as_text(rejection) if rejection is not None else None}
        with self._database.write() as session:
            wanted = [col(Delivery.id) == delivery, *([col(Delivery.awaiting_pickup).is_(True)] if if_awaited else [])]
            changed = session.execute(update(Delivery).where(*wanted).values(taken_at=None if rejection else now, **changes))
        return bool(getattr(changed, "rowcount", 0))

    def retry(self, ids: Sequence[UUID], now: datetime) -> int:
        """Make pending and dead deliveries due now. Returns how many changed."""
        return self._operator(
            ids, (DeliveryState.PENDING, DeliveryState.DEAD), {"state": DeliveryState.PENDING, "due_at": now, "crashes": 0}
        )

    def hold(self, ids: Sequence[UUID]) -> int:
        """Put pending deliveries aside until they are released. Returns how many changed."""
        return self._operator(ids, (DeliveryState.PENDING,), {"state": DeliveryState.HELD})

    def release(self, ids: Sequence[UUID], now: datetime) -> int:
        """Make held deliveries due now. Returns how many changed."""
        return self._operator(ids, (DeliveryState.HELD,), {"state": DeliveryState.PENDING, "due_at": now})

    def resend(self, ids: Sequence[UUID], now: datetime) -> list[UUID]:
        """Deliver anew, as a new generation each, what has been delivered or is dead. Returns the new ids. Raises as `retry` does."""
        new: list[UUID] = []
        with self._database.write() as session:
            for delivery_id in ids:
                old = _one(session, delivery_id, (DeliveryState.DELIVERED, DeliveryState.DEAD))
                newest = select(func.max(Delivery.generation)).where(
                    Delivery.message_id == old.message_id, Delivery.destination == old.destination
                )
                generation = session.exec(newest).one() + 1
                key = derived_id(old.message_id, old.destination, generation)
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
                new.append(key)
        return new

    def _operator(self, ids: Sequence[UUID], allowed: tuple[DeliveryState, ...], changes: dict[str, object]) -> int:
        """Change the deliveries, or none: raises NotFound or OperatorError if any of them is missing or in another state."""
        with self._database.write() as session:
            for delivery_id in ids:
                delivery = _one(session, delivery_id, allowed)
                for name, value in changes.items():
                    setattr(delivery, name, value)
                session.add(delivery)
        return len(ids)


def _one(session: Session, delivery_id: UUID, allowed: tuple[DeliveryState, ...]) -> Delivery:
    delivery = session.get(Delivery, delivery_id)
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id}; `postmottak deliveries list` shows those that there are")
    if delivery.state not in allowed:
        words = " or ".join(allowed)
        raise OperatorError(f"The delivery {delivery_id} is {delivery.state}; this is for deliveries that are {words}")
    return delivery


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a destination said, as JSON holds it: a connector's slip must not undo a delivery that was made."""
    found: dict[str, Any] = json.loads(_as_text(json.dumps(values, default=str, ensure_ascii=False, skipkeys=True)))
    return found


def _as_text(text: str) -> str:
    """Text that a database holds; half of a surrogate pair, which names of files can have, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _with_letters(session: Session, deliveries: Sequence[Delivery], lease_ends: datetime) -> list[Claim]:
    """The claims, with what is read of their letters in one statement for each table."""
    ids = {"ids": list({delivery.message_id for delivery in deliveries})}
    messages = {each.id: each for each in session.execute(_MESSAGES_OF, ids).scalars()}
    decisions = {(each.message_id, each.number): each for each in session.execute(_DECISIONS_OF, ids).scalars()}
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


def _change_if_newest(session: Session, claim: Claim, changes: Mapping[str, object]) -> bool:
    """Change the delivery, unless it has been claimed anew or has ended; whether it was changed."""
    found = session.connection().execute(_IF_NEWEST, {"claimed": claim.id, "with_fence": claim.fence, **changes})
    return bool(found.rowcount)


def _finish(
    session: Session, claim: Claim, changes: dict[str, object], outcome: Outcome, reason: str, started_at: datetime, now: datetime
) -> bool:
    if not _change_if_newest(session, claim, {"owner": None, **changes}):
        return False
    duration = int((now - started_at).total_seconds() * 1000)
    attempt = {"delivery_id": claim.id, "fence": claim.fence, "started_at": started_at, "duration_ms": duration}
    session.connection().execute(_ATTEMPTED, {**attempt, "outcome": outcome, "reason": reason})
    return True


def release_marks(session: Session, message_id: UUID, now: datetime) -> None:
    """A letter whose deliveries are all delivered may be told as handled, where the policy waited for that."""
    session.connection().execute(_RELEASE_MARKS, {"message": message_id, "now": now})
