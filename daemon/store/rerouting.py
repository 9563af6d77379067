"""Deliveries that go elsewhere than was decided at first: a cover that began or ended, or an operator who decided anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import Session, col, select

from daemon.model import Attachment, Attempt, Decision, DecisionValues, Delivery, DeliveryState, Message, delivery_id
from daemon.store.endings import release_marks
from daemon.store.engine import Database

WAITING = frozenset({DeliveryState.PENDING, DeliveryState.HELD})
"""The states of a delivery that nobody has begun, so that it can still go elsewhere."""
_HANDED_OVER = frozenset({DeliveryState.CLAIMED, DeliveryState.DELIVERED})
_MANY = 1000  # rows at a time


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A stored letter with its attachments and its newest decision."""

    message: Message
    attachments: Sequence[Attachment]
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What became of a letter's deliveries. Both are names of destinations."""

    added: tuple[str, ...]
    withdrawn: tuple[str, ...]


class Rerouting:
    """Deliveries that go elsewhere than was decided at first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self) -> list[tuple[Decided, list[Delivery]]]:
        """Letters of which a delivery waits or is held, each with all its deliveries."""
        waiting = select(Delivery.message_id).where(col(Delivery.state).in_(WAITING))
        found: dict[UUID, list[Delivery]] = {}
        with self._database.read() as session:
            for each in session.exec(select(Delivery).where(col(Delivery.message_id).in_(waiting)).order_by(col(Delivery.message_id))):
                found.setdefault(each.message_id, []).append(each)
            return [(_decided(session, message), deliveries) for message, deliveries in found.items()]

    def decided(self, message: UUID) -> Decided:
        """A stored letter with its newest decision."""
        with self._database.read() as session:
            return _decided(session, message)

    def since(self, start: datetime) -> list[Decided]:
        """Letters that came at `start` or later, the oldest first."""
        wanted = select(Message.id).where(Message.fetched_at >= start).order_by(col(Message.fetched_at), col(Message.id))
        with self._database.read() as session:
            return [_decided(session, message) for message in session.exec(wanted).all()]

    def taken(self, start: datetime) -> Counter[str]:
        """How many letters each route took at `start` or later, as the one that decided or as one that added a copy."""
        wanted = select(Decision.route, Decision.why).where(Decision.decided_at >= start)
        found: Counter[str] = Counter()
        with self._database.read() as session:
            for route, why in session.exec(wanted).yield_per(_MANY):
                found.update({route, *why.get("copies", ())})
        return found

    def cover(self, message: UUID, wanted: Mapping[str, Sequence[str]], now: datetime) -> Changed:
        """Let deliveries that wait or are held follow a cover.

        Those that are not `wanted`, or not on those behalves, give way to those that are; these are held if all that gave way were.
        """
        with self._database.write() as session:
            decision = _newest(session, message)
            withdrawn = _withdraw(session, message, wanted, WAITING)
            if withdrawn:
                decision.why = {**decision.why, "covered": [*decision.why.get("covered", ()), *withdrawn]}
                session.add(decision)
            held = bool(withdrawn) and all(each["state"] == DeliveryState.HELD for each in withdrawn)
            state = DeliveryState.HELD if held else DeliveryState.PENDING
            added = _add(session, message, wanted, lambda earlier: not earlier, _New(decision.number, now, state))
            release_marks(session, [message], now)
        return Changed(added=added, withdrawn=tuple(each["destination"] for each in withdrawn))

    def decide(self, decision: DecisionValues, wanted: Mapping[str, Sequence[str]], now: datetime, *, again: Collection[str]) -> Changed:
        """Keep an operator's decision and carry it out.

        What was delivered stays recorded. Deliveries that wait or are dead are withdrawn if they are not `wanted`, or on other behalves.
        A wanted destination that has the letter gets it again, as a new generation, only if it is in `again`, or on behalf of somebody
        for whom it has not got it yet.
        """
        with self._database.write() as session:
            number = _newest(session, decision.message_id).number + 1
            withdrawn = _withdraw(session, decision.message_id, wanted, {*WAITING, DeliveryState.DEAD})
            why = {**decision.why, **({"withdrawn": withdrawn} if withdrawn else {})}
            session.add(Decision(**{**decision.model_dump(), "number": number, "why": why}))
            session.flush()  # the deliveries refer to it
            new = _New(number, now, DeliveryState.PENDING)
            added = _add(session, decision.message_id, wanted, lambda earlier: _is_due(earlier, wanted, again), new)
            release_marks(session, [decision.message_id], now)
        return Changed(added=added, withdrawn=tuple(each["destination"] for each in withdrawn))


def _decided(session: Session, message: UUID) -> Decided:
    attachments = session.exec(select(Attachment).where(Attachment.message_id == message).order_by(col(Attachment.position))).all()
    return Decided(message=session.get_one(Message, message), attachments=attachments, decision=_newest(session, message))


def _newest(session: Session, message: UUID) -> Decision:
    return session.exec(select(Decision).where(Decision.message_id == message).order_by(col(Decision.number).desc()).limit(1)).one()


def _withdraw(
    session: Session, message: UUID, wanted: Mapping[str, Sequence[str]], states: Collection[DeliveryState]
) -> list[dict[str, Any]]:
    """Remove deliveries that nobody wants any more; what is returned, and kept with the decision, remembers them."""
    found = session.exec(select(Delivery).where(Delivery.message_id == message, col(Delivery.state).in_(states))).all()
    withdrawn = []
    for each in found:
        if each.destination in wanted and list(wanted[each.destination]) == each.recipients:
            continue
        withdrawn.append(
            {
                "destination": each.destination,
                "generation": each.generation,
                "state": each.state,
                "attempts": each.attempts,
                "error": each.last_error,
            }
        )
        session.execute(delete(Attempt).where(col(Attempt.delivery_id) == each.id))
        session.delete(each)
    session.flush()
    return withdrawn


@dataclass(frozen=True)
class _New:
    """What is the same of all deliveries that one decision or cover adds."""

    decision: int
    at: datetime
    state: DeliveryState


def _is_due(earlier: Sequence[Delivery], wanted: Mapping[str, Sequence[str]], again: Collection[str]) -> bool:
    """Whether a destination needs another delivery, after these."""
    if not earlier:
        return True
    last = earlier[-1]
    had = {name for each in earlier if each.state in _HANDED_OVER for name in each.recipients}
    if last.state in _HANDED_OVER and not had.issuperset(wanted[last.destination]):
        return True
    return last.destination in again and last.state in {DeliveryState.DELIVERED, DeliveryState.DEAD}


def _add(
    session: Session, message: UUID, wanted: Mapping[str, Sequence[str]], is_due: Callable[[Sequence[Delivery]], bool], new: _New
) -> tuple[str, ...]:
    """Add a delivery to each wanted destination for which one `is_due`, as the next generation."""
    added = []
    for destination, recipients in wanted.items():
        known = select(Delivery).where(Delivery.message_id == message, Delivery.destination == destination)
        earlier = session.exec(known.order_by(col(Delivery.generation))).all()
        if not is_due(earlier):
            continue
        generation = earlier[-1].generation + 1 if earlier else 1
        session.add(
            Delivery(
                id=delivery_id(message, destination, generation),
                message_id=message,
                destination=destination,
                recipients=list(recipients),
                decision=new.decision,
                generation=generation,
                state=new.state,
                created_at=new.at,
                due_at=new.at,
            )
        )
        added.append(destination)
    session.flush()
    return tuple(added)
