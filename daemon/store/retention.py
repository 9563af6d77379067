"""What retention deletes, and what it must not touch.

It must not touch a letter with an open delivery, pickup or mark, a rejected one, or one under a
legal hold. A deletion is recorded in the transaction that empties the letter. The bytes of
attachments are files, and are removed afterwards; `needed` returns those that must stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_
from sqlalchemy import select as sql_select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from daemon.core.awaited import AwaitedLetter, Reminder
from daemon.core.bookkeeping import (
    Acknowledgement,
    DeadlineAnswer,
    DeadlineWarning,
    Deletion,
    LegalHold,
    LetterPart,
    RoutingVersion,
    Tombstone,
)
from daemon.core.errors import OperatorError
from daemon.core.missing_files import MissingFile, OpeningRow
from daemon.core.model import (
    KEPT_STATES,
    Attachment,
    AttemptRow,
    DecisionRow,
    Delivery,
    DeliveryState,
    Mark,
    MarkState,
    Message,
    PartState,
    Thread,
)
from daemon.routing.decide import OPERATOR
from daemon.store.database import Database
from daemon.store.pages import pieces, row_number

_PAGE = 500  # letters that are read in one transaction: some 20 ms
_ATTACHMENTS = 1000  # rows that are looked up one by one: about 10 ms
_TABLES = 10  # routing tables that are searched in one transaction
_RULE = "keep_"  # how the settings of a route begin
_BY_HASH = (col(Attachment.sha256), row_number(Attachment))
_BY_ARRIVAL = (col(Message.fetched_at), row_number(Message))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A letter that retention may touch: its newest decision by a route, and what it still has."""

    message_id: UUID
    service: str
    version: str
    route: str
    fetched_at: datetime
    body: bool
    attachments: bool


class RetentionRows:
    """The queries and deletions of retention."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tables_with_rules(self) -> list[str]:
        """Return the versions of all routing tables in which routes say how long letters stay."""
        version = col(RoutingVersion.version)
        wanted = select(RoutingVersion.version).where(
            col(RoutingVersion.text).contains(_RULE, autoescape=True)
        )
        found: list[str] = []
        for piece in pieces(self._database, (version,), size=_TABLES):
            found += self._database.rows(wanted.where(piece))
        return found

    def candidates(self, until: datetime) -> Iterator[Candidate]:
        """Yield letters that came at `until` or earlier and may be touched, the oldest first."""
        for piece in pieces(self._database, _BY_ARRIVAL, until=until, size=_PAGE):
            yield from self._page(piece)

    def _page(self, which: ColumnElement[bool]) -> list[Candidate]:
        files = exists().where(
            col(Attachment.message_id) == Message.id, col(Attachment.state).in_(KEPT_STATES)
        )
        wanted = (
            sql_select(
                col(Message.id),
                col(Message.service),
                col(DecisionRow.routing_version),
                col(DecisionRow.route),
                col(Message.fetched_at),
                col(Message.body_deleted_at).is_(None),
                files,
            )
            .join(*_decided())
            .where(which, _may_go())
            .order_by(*_BY_ARRIVAL)
        )
        names = ("message_id", "service", "version", "route", "fetched_at", "body", "attachments")
        with self._database.read() as session:
            return [
                Candidate(**dict(zip(names, row, strict=True))) for row in session.execute(wanted)
            ]

    def delete(
        self, letters: Mapping[UUID, Mapping[LetterPart, str]], by: str, now: datetime
    ) -> list[Deletion]:
        """Delete these parts of these letters, each by its rule, in one transaction.

        Each letter is checked again: one that must not be touched any more stays as it is. Earlier
        deletions stay as recorded. Returns what was deleted.
        """
        done: list[Deletion] = []
        with self._database.write() as session:
            may_go = session.exec(select(Message).where(col(Message.id).in_(letters), _may_go()))
            for message in may_go.all():
                done += _delete_parts(session, message, letters[message.id], by, now)
        return done

    def deletions(
        self, limit: int | None = None, message_id: UUID | None = None
    ) -> Sequence[Deletion]:
        """Return what was deleted, the newest first; of all letters, or of one."""
        wanted = (
            select(Deletion)
            .order_by(col(Deletion.deleted_at).desc(), col(Deletion.message_id), col(Deletion.part))
            .limit(limit)
        )
        if message_id:
            wanted = wanted.where(Deletion.message_id == message_id)
        return self._database.rows(wanted)

    def hold(self, message_id: UUID, by: str, reason: str, now: datetime) -> None:
        """Put the letter under a legal hold. Raises OperatorError if it is under one already."""
        with self._database.write() as session:
            current = _hold_in_force(session, message_id)
            if current:
                raise OperatorError(
                    f"The message {message_id} has been under a legal hold since "
                    f"{current.begun_at:%Y-%m-%d %H:%M:%S}"
                )
            session.add(LegalHold(message_id=message_id, begun_at=now, begun_by=by, reason=reason))

    def end_hold(self, message_id: UUID, by: str, now: datetime) -> None:
        """End the letter's legal hold. Raises OperatorError if it is under none."""
        with self._database.write() as session:
            current = _hold_in_force(session, message_id)
            if current is None:
                raise OperatorError(
                    f"The message {message_id} is not under a legal hold; see `postmottak "
                    "messages show`"
                )
            current.ended_at, current.ended_by = now, by
            session.add(current)

    def holds(self, message_id: UUID) -> Sequence[LegalHold]:
        """Return every legal hold of the letter, in order."""
        return self._database.rows(
            select(LegalHold).where(LegalHold.message_id == message_id).order_by(col(LegalHold.id))
        )

    def held(self) -> int:
        """Count the letters under a legal hold."""
        with self._database.read() as session:
            return session.exec(
                select(func.count()).select_from(LegalHold).where(col(LegalHold.ended_at).is_(None))
            ).one()

    def needed(self, prefix: str) -> dict[str, int]:
        """Return the hashes with this prefix whose bytes must stay, with their sizes in bytes."""
        return dict(self._needed(prefix, prefix + "g"))

    def all_needed(self) -> Iterator[tuple[str, int]]:
        """Yield what `needed` returns of all prefixes, in order and each once.

        It asks once for a thousand attachments, where that asks twice for each prefix.
        """
        return self._needed("", None)

    def _needed(self, since: str, until: str | None) -> Iterator[tuple[str, int]]:
        wanted = (
            sql_select(col(Attachment.sha256), func.max(col(Attachment.size)))
            .where(col(Attachment.state).in_(KEPT_STATES))
            .group_by(col(Attachment.sha256))
            .order_by(col(Attachment.sha256))
        )
        last, largest = "", 0
        for piece in pieces(self._database, _BY_HASH, since=since, until=until, size=_ATTACHMENTS):
            with self._database.read() as session:
                found = session.execute(wanted.where(piece)).all()
            for sha256, size in found:
                if sha256 != last and last:
                    yield last, largest
                largest = max(largest if sha256 == last else 0, size or 0)
                last = sha256
        if last:
            yield last, largest

    def letters_with(self, sha256: str) -> list[UUID]:
        """Return the letters with an attachment of these bytes."""
        wanted = (
            select(Attachment.message_id)
            .where(Attachment.sha256 == sha256, col(Attachment.state).in_(KEPT_STATES))
            .distinct()
        )
        return list(self._database.rows(wanted))


def _decided() -> tuple[Any, ColumnElement[bool]]:
    """Return the join of a letter with its newest decision by a route; its first always is one."""
    other = aliased(DecisionRow)
    newest = (
        sql_select(func.max(other.number))
        .where(col(other.message_id) == Message.id, col(other.route) != OPERATOR)
        .scalar_subquery()
    )
    return DecisionRow, and_(
        col(DecisionRow.message_id) == Message.id, col(DecisionRow.number) == newest
    )


def _may_go() -> ColumnElement[bool]:
    """Whether retention may touch the letter of the row.

    It must be delivered, taken and marked, and not under a legal hold. Withdrawn deliveries do not
    count.
    """
    newer = aliased(Delivery)
    replaced = exists().where(
        col(newer.message_id) == Delivery.message_id,
        col(newer.destination) == Delivery.destination,
        col(newer.generation) > Delivery.generation,
        col(newer.state) != DeliveryState.WITHDRAWN,
    )
    in_the_way = or_(
        col(Delivery.state).not_in((DeliveryState.DELIVERED, DeliveryState.WITHDRAWN)),
        col(Delivery.awaiting_pickup).is_(True),
        and_(col(Delivery.rejection).is_not(None), ~replaced),
    )
    return and_(
        ~exists().where(col(Delivery.message_id) == Message.id, in_the_way),
        exists().where(
            col(Delivery.message_id) == Message.id, col(Delivery.state) == DeliveryState.DELIVERED
        ),
        ~exists().where(col(Mark.message_id) == Message.id, col(Mark.state) != MarkState.DONE),
        ~exists().where(col(LegalHold.message_id) == Message.id, col(LegalHold.ended_at).is_(None)),
    )


def _hold_in_force(session: Session, message_id: UUID) -> LegalHold | None:
    return session.exec(
        select(LegalHold).where(
            LegalHold.message_id == message_id, col(LegalHold.ended_at).is_(None)
        )
    ).first()


def _delete_parts(
    session: Session, message: Message, rules: Mapping[LetterPart, str], by: str, now: datetime
) -> list[Deletion]:
    acts = {
        LetterPart.BODY: _delete_body,
        LetterPart.ATTACHMENTS: _delete_attachments,
        LetterPart.METADATA: _delete_metadata,
    }
    done = []
    for part in LetterPart:  # metadata last
        what = acts[part](session, message, now) if part in rules else None
        if what is not None:
            done.append(
                Deletion(
                    message_id=message.id,
                    part=part,
                    deleted_at=now,
                    by=by,
                    rule=rules[part],
                    what=what,
                )
            )
    session.add_all(done)
    return done


def _delete_body(session: Session, message: Message, now: datetime) -> dict[str, Any] | None:
    if message.body_deleted_at:
        return None
    text = message.body.encode()
    message.body, message.summary, message.body_deleted_at = "", "", now
    session.add(message)
    return {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}


def _delete_attachments(session: Session, message: Message, now: datetime) -> dict[str, Any] | None:
    kept = session.exec(
        select(Attachment)
        .where(Attachment.message_id == message.id, col(Attachment.state).in_(KEPT_STATES))
        .order_by(col(Attachment.position))
    ).all()
    what = [{"position": each.position, "size": each.size, "sha256": each.sha256} for each in kept]
    for each in kept:
        each.state, each.size, each.sha256, each.deleted_at = PartState.DELETED, None, None, now
        session.add(each)
    return {"files": what} if what else None


def _delete_metadata(session: Session, message: Message, now: datetime) -> dict[str, Any]:
    """Delete everything but a tombstone. The caller has deleted the other parts before."""
    session.flush()
    deliveries = select(Delivery.id).where(Delivery.message_id == message.id)
    counts = {"attempts": _remove(session, AttemptRow, col(AttemptRow.delivery_id).in_(deliveries))}
    for table in (
        Delivery,
        DecisionRow,
        Mark,
        Thread,
        Attachment,
        LegalHold,
        Acknowledgement,
        DeadlineAnswer,
        DeadlineWarning,
        Reminder,
        AwaitedLetter,
        MissingFile,
        OpeningRow,
    ):
        counts[str(table.__tablename__)] = _remove(
            session, table, col(table.message_id) == message.id
        )
    facts = message.model_dump(
        include={"kind", "mailbox", "party", "service", "resource", "external_id", "altinn2_id"}
    )
    session.add(Tombstone(**facts, message_id=message.id, deleted_at=now))
    session.delete(message)
    session.flush()
    return {"fetched_at": message.fetched_at.isoformat(), **counts}


def _remove(session: Session, table: type[Any], which: ColumnElement[bool]) -> int:
    return int(getattr(session.execute(delete(table).where(which)), "rowcount", 0))
