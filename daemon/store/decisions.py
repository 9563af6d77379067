"""Decisions about stored letters: an operator, or a changed table, sends letters elsewhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Connection, RowMapping, bindparam
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.awaited import AwaitedValues
from daemon.core.errors import NotFound
from daemon.core.model import (
    Attachment,
    DecisionRow,
    DecisionValues,
    Delivery,
    DeliveryState,
    Message,
    MessageValues,
    Part,
    delivery_id,
)
from daemon.routing.decide import OPERATOR
from daemon.routing.facts import Facts, is_guarded
from daemon.store.covers import WAITING, Changed, withdrawn
from daemon.store.database import Database, table_of
from daemon.store.pages import LETTERS, pieces, row_number
from daemon.store.results import release_marks
from daemon.store.waits import begin

_HANDED_OVER = frozenset({DeliveryState.CLAIMED, DeliveryState.DELIVERED})
_MESSAGES, _ATTACHMENTS, _DECISIONS = (
    table_of(kind) for kind in (Message, Attachment, DecisionRow)
)
_PAGE = 500  # decisions that are read in one transaction with their reasons: about 5 ms
_BY_ARRIVAL = (_MESSAGES.c.fetched_at, row_number(Message))
_BY_DECISION = (_DECISIONS.c.decided_at, _DECISIONS.c.route, row_number(DecisionRow))
_FACTS = sql_select(
    _MESSAGES.c.id,
    _MESSAGES.c.service,
    _MESSAGES.c.fetched_at.label("at"),
    _MESSAGES.c.party,
    _MESSAGES.c.party_name,
    _MESSAGES.c.sender_org,
    _MESSAGES.c.sender_name,
    _MESSAGES.c.title,
    _MESSAGES.c.summary,
    _MESSAGES.c.sender_reference.label("reference"),
    _MESSAGES.c.language,
    _MESSAGES.c.altinn2_id.is_not(None).label("migrated"),
    _MESSAGES.c.due_at,
    _MESSAGES.c.confidential,
).order_by(*_BY_ARRIVAL)
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_PARTS = (
    sql_select(_ATTACHMENTS.c.message_id, _ATTACHMENTS.c.original_name, _ATTACHMENTS.c.media_type)
    .where(_ATTACHMENTS.c.message_id.in_(_IDS))
    .order_by(_ATTACHMENTS.c.position)
)
_NEWEST = (
    sql_select(
        _DECISIONS.c.message_id,
        _DECISIONS.c.number,
        _DECISIONS.c.route,
        _DECISIONS.c.recipients,
        _DECISIONS.c.direct,
    )
    .where(_DECISIONS.c.message_id.in_(_IDS))
    .order_by(_DECISIONS.c.number)
)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A stored letter with its attachments and its newest decision."""

    message: MessageValues
    attachments: Sequence[Part]
    decision: DecisionValues


class NewestDecision(NamedTuple):
    """What a decision says: its number, the route, and to whom."""

    number: int
    route: str
    recipients: list[str]
    direct: list[str]


class Outline(NamedTuple):
    """A stored letter as routes saw it when it came, and its newest decision."""

    id: UUID
    facts: Facts
    decision: NewestDecision


class Decisions:
    """Decisions about stored letters, and the deliveries that follow from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decided(self, message: UUID) -> Decided:
        """Return a stored letter with its newest decision.

        Raises NotFound if the letter was deleted meanwhile.
        """
        with self._database.read() as session:
            if session.get(Message, message) is None:
                raise NotFound(f"letter {message} was deleted")
            return _decided(session, message)

    def published_at(self, message: UUID) -> datetime:
        """Return when a stored letter was published. Raises NotFound if it was deleted."""
        return self.decided(message).message.published_at

    def since(self, start: datetime) -> Iterator[Outline]:
        """Yield letters that came at `start` or later, the oldest first.

        No transaction is open between two of them.
        """
        for piece in pieces(self._database, _BY_ARRIVAL, since=start, size=LETTERS):
            with self._database.read() as session:
                found = outlines(session.connection(), piece)
            yield from found

    def outline(self, message: UUID) -> Outline | None:
        """Return one stored letter; None if it was deleted."""
        with self._database.read() as session:
            return next(iter(outlines(session.connection(), _MESSAGES.c.id == message)), None)

    def of_sender(self, sender_org: str, start: datetime, most: int) -> list[Outline]:
        """Return the newest letters of a sender that came at `start` or later.

        Reads the arrivals since then, so it is for what happens seldom.
        """
        wanted = (
            sql_select(_MESSAGES.c.id)
            .where(_MESSAGES.c.fetched_at >= start, _MESSAGES.c.sender_org == sender_org)
            .order_by(_MESSAGES.c.fetched_at.desc())
            .limit(most)
        )
        with self._database.read_one() as connection:
            ids = list(connection.execute(wanted).scalars())
        with self._database.read() as session:
            return outlines(session.connection(), _MESSAGES.c.id.in_(ids)) if ids else []

    def taken(self, start: datetime) -> Counter[str]:
        """Count the letters that each route took at `start` or later.

        A route takes a letter by deciding, or by adding a copy.
        """
        found: Counter[str] = Counter()
        for piece in pieces(self._database, _BY_DECISION, since=start, size=_PAGE):
            with self._database.read() as session:
                rows = (
                    session.connection()
                    .execute(sql_select(_DECISIONS.c.route, _DECISIONS.c.why).where(piece))
                    .all()
                )
            for route, why in rows:
                found.update({route, *why.get("copies", ())})
        return found

    def decide(
        self,
        decision: DecisionValues,
        wanted: Mapping[str, Sequence[str]],
        now: datetime,
        *,
        again: Collection[str],
        after: int | None = None,
        awaited: AwaitedValues | None = None,
    ) -> Changed | None:
        """Store an operator's decision and carry it out.

        With `after`, only if that is still the number of the newest decision; otherwise return
        None. Deliveries that wait, are held or dead are withdrawn if they are not `wanted`, or are
        for other recipients. A wanted destination that has the letter gets it again, as the next
        generation, only if it is in `again`, or for a recipient for whom it does not have it yet.
        From then on the letter waits for a person as `awaited` says.
        """
        with self._database.write() as session:
            newest = _newest(session, decision.message_id)
            if after not in {None, newest.number}:
                return None
            number = newest.number + 1
            gone = _withdraw(session, decision.message_id, wanted, {*WAITING, DeliveryState.DEAD})
            session.add(_next(decision, newest, gone))
            session.flush()  # the deliveries refer to it
            new = _New(number, now, DeliveryState.PENDING)
            added = _add(
                session,
                decision.message_id,
                wanted,
                lambda earlier: _is_due(earlier, wanted, again),
                new,
            )
            if awaited:
                awaited = awaited.model_copy(update={"decision": number})
            begin(session, awaited, decision.message_id)
            release_marks(session, [decision.message_id], now)
        return Changed(added=added, withdrawn=tuple(each["destination"] for each in gone))


def _next(
    decision: DecisionValues, before: DecisionRow, gone: Sequence[Mapping[str, Any]]
) -> DecisionRow:
    """Return the decision as the next one.

    An operator who sends a letter elsewhere does not take back the time that a route gave it.
    """
    why, answer = {**decision.why, **({"withdrawn": gone} if gone else {})}, decision.respond_by
    if decision.route == OPERATOR and before.respond_by:
        answer = before.respond_by
        why["respond_within"] = before.why.get("respond_within", "")
    facts = {"number": before.number + 1, "why": why, "respond_by": answer}
    return DecisionRow(**{**decision.model_dump(), **facts})


def outlines(connection: Connection, which: ColumnElement[bool]) -> list[Outline]:
    """Read some letters, by plain statements for each table, and only what routes look at.

    As objects, one by one, they cost fifty times as much.
    """
    rows = connection.execute(_FACTS.where(which)).mappings().all()
    these = {"ids": [row["id"] for row in rows]}
    names: defaultdict[UUID, list[str]] = defaultdict(list)
    types: defaultdict[UUID, list[str]] = defaultdict(list)
    for key, name, kind in connection.execute(_PARTS, these):
        names[key].append(name)
        types[key].append(kind)
    decisions = {key: NewestDecision(*made) for key, *made in connection.execute(_NEWEST, these)}
    return [
        Outline(key, _facts(row, names[key], types[key]), decisions[key])
        for row in rows
        for key in (row["id"],)
    ]


def _facts(row: RowMapping, names: Sequence[str], types: Sequence[str]) -> Facts:
    values = {**row, "attachment_names": tuple(names), "attachment_types": tuple(types)}
    del values["id"]
    values["confidential"] = is_guarded(row["service"], confidential=row["confidential"])
    return Facts(**values)


def _decided(session: Session, message: UUID) -> Decided:
    attachments = session.exec(
        select(Attachment)
        .where(Attachment.message_id == message)
        .order_by(col(Attachment.position))
    ).all()
    return Decided(
        message=session.get_one(Message, message),
        attachments=attachments,
        decision=_newest(session, message),
    )


def _newest(session: Session, message: UUID) -> DecisionRow:
    return session.exec(
        select(DecisionRow)
        .where(DecisionRow.message_id == message)
        .order_by(col(DecisionRow.number).desc())
        .limit(1)
    ).one()


def _withdraw(
    session: Session,
    message: UUID,
    wanted: Mapping[str, Sequence[str]],
    states: Collection[DeliveryState],
) -> list[dict[str, Any]]:
    """Withdraw deliveries that are no longer wanted; the rows and their attempts stay.

    Returns how each stood, which is kept with the decision.
    """
    found = session.exec(
        select(Delivery).where(Delivery.message_id == message, col(Delivery.state).in_(states))
    ).all()
    gone = []
    for each in found:
        if each.destination in wanted and list(wanted[each.destination]) == each.recipients:
            continue
        gone.append(withdrawn(each))
        each.state = DeliveryState.WITHDRAWN
        session.add(each)
    session.flush()
    return gone


@dataclass(frozen=True)
class _New:
    """What all deliveries that one decision adds have in common."""

    decision: int
    at: datetime
    state: DeliveryState


def _is_due(
    earlier: Sequence[Delivery], wanted: Mapping[str, Sequence[str]], again: Collection[str]
) -> bool:
    """Whether a destination needs another delivery after these, none of which is withdrawn."""
    if not earlier:
        return True
    last = earlier[-1]
    had = {name for each in earlier if each.state in _HANDED_OVER for name in each.recipients}
    if last.state in _HANDED_OVER and not had.issuperset(wanted[last.destination]):
        return True
    return last.destination in again and last.state in {DeliveryState.DELIVERED, DeliveryState.DEAD}


def _add(
    session: Session,
    message: UUID,
    wanted: Mapping[str, Sequence[str]],
    is_due: Callable[[Sequence[Delivery]], bool],
    new: _New,
) -> tuple[str, ...]:
    """Add a delivery to each wanted destination for which one `is_due`, as the next generation."""
    added = []
    for destination, recipients in wanted.items():
        known = select(Delivery).where(
            Delivery.message_id == message, Delivery.destination == destination
        )
        earlier = session.exec(known.order_by(col(Delivery.generation))).all()
        if not is_due([each for each in earlier if each.state != DeliveryState.WITHDRAWN]):
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
