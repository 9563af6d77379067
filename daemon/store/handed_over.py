"""Letters as their receivers get them, one copy for each delivery. Read-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy import select as sql_select
from sqlmodel import Session, col, select

from daemon.core.errors import NotFound
from daemon.core.model import Attachment, DecisionRow, Delivery, DeliveryState, Message
from daemon.store.database import Database
from daemon.store.pages import ROWS, row_number

_BY_DUE_TIME = (col(Delivery.due_at), row_number(Delivery))
_PIECES = 10
"""Pieces of rows that one call looks through: most of what was delivered was answered as well."""
Place = tuple[datetime, int]
"""Where a delivery is in the order of the list."""


class SeveralCopies(Exception):
    """Several destinations have the letter, and none was named."""


@dataclass(frozen=True, kw_only=True)
class LetterCopy:
    """A delivery, with the letter that it carries."""

    delivery: Delivery
    message: Message
    attachments: Sequence[Attachment]
    decision: DecisionRow


@dataclass(frozen=True, kw_only=True)
class UnansweredPage:
    """Some of the deliveries that their receivers have not answered, the oldest first."""

    copies: Sequence[LetterCopy]
    after: Place | None
    """Where the next page begins; None if this is the last one."""


class HandedOver:
    """Letters as their receivers get them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def copy(self, message_id: UUID, destination: str | None = None) -> LetterCopy:
        """Return the letter's newest copy for this destination, or for the only one that has it.

        It need not have arrived: while it is handed over, its receiver asks for it. Raises
        NotFound, and SeveralCopies without a destination where there are several.
        """
        with self._database.read() as session:
            wanted = (
                select(Delivery)
                .join(Message, col(Message.id) == Delivery.message_id)
                .where(Message.id == message_id, Delivery.state != DeliveryState.WITHDRAWN)
            )
            if destination is not None:
                wanted = wanted.where(Delivery.destination == destination)
            copies = session.exec(wanted).all()
            if not copies:
                where = f" at the destination {destination!r}" if destination is not None else ""
                raise NotFound(f"message {message_id} does not exist{where}")
            if len({each.destination for each in copies}) > 1:
                raise SeveralCopies
            newest = max(copies, key=lambda each: each.generation)
            return _with_letters(session, [newest])[0]

    def unanswered(
        self, destination: str | None, limit: int, after: Place | None = None
    ) -> UnansweredPage:
        """Return at most `limit` delivered letters that were neither taken nor rejected.

        With `destination`, those at this one. A page may have fewer, or none, and still not be the
        last.
        """
        ids: list[UUID] = []
        place = tuple_(*_BY_DUE_TIME)
        which = [col(Delivery.state) == DeliveryState.DELIVERED]
        if destination is not None:
            which.append(col(Delivery.destination) == destination)
        for _ in range(_PIECES):
            later = [*which, *([place > after] if after else [])]
            end = self._end_of_piece(later)
            piece = [*later, *([place <= end] if end else [])]
            found = self._unanswered_in(piece, limit - len(ids))
            ids += [each for each, _ in found]
            if len(ids) == limit:
                return self._page(ids, found[-1][1])
            if end is None:
                return self._page(ids, None)
            after = end
        return self._page(ids, after)

    def _end_of_piece(self, which: Sequence[ColumnElement[bool]]) -> Place | None:
        """Return the place of the last of `ROWS` deliveries; None if there are fewer."""
        last = sql_select(*_BY_DUE_TIME).where(*which).order_by(*_BY_DUE_TIME)
        with self._database.read_one() as connection:
            found = connection.execute(last.limit(1).offset(ROWS - 1)).first()
        return (found[0], found[1]) if found else None

    def _unanswered_in(
        self, piece: Sequence[ColumnElement[bool]], limit: int
    ) -> list[tuple[UUID, Place]]:
        wanted = (
            sql_select(col(Delivery.id), *_BY_DUE_TIME)
            .where(*piece, col(Delivery.taken_at).is_(None), col(Delivery.rejection).is_(None))
            .order_by(*_BY_DUE_TIME)
            .limit(limit)
        )
        with self._database.read_one() as connection:
            return [(key, (at, number)) for key, at, number in connection.execute(wanted)]

    def _page(self, ids: Sequence[UUID], after: Place | None) -> UnansweredPage:
        with self._database.read() as session:
            found = session.exec(select(Delivery).where(col(Delivery.id).in_(ids)))
            by_id = {each.id: each for each in found}
            there = [by_id[each] for each in ids if each in by_id]
            return UnansweredPage(copies=_with_letters(session, there), after=after)


def _with_letters(session: Session, deliveries: Sequence[Delivery]) -> list[LetterCopy]:
    """Return the deliveries with their letters, read with one statement for each table."""
    ids = {each.message_id for each in deliveries}
    messages = {
        each.id: each for each in session.exec(select(Message).where(col(Message.id).in_(ids)))
    }
    decided = session.exec(select(DecisionRow).where(col(DecisionRow.message_id).in_(ids)))
    decisions = {(each.message_id, each.number): each for each in decided}
    attachments: dict[UUID, list[Attachment]] = defaultdict(list)
    for each in session.exec(
        select(Attachment)
        .where(col(Attachment.message_id).in_(ids))
        .order_by(col(Attachment.position))
    ):
        attachments[each.message_id].append(each)
    return [
        LetterCopy(
            delivery=each,
            message=messages[each.message_id],
            attachments=tuple(attachments[each.message_id]),
            decision=decisions[each.message_id, each.decision],
        )
        for each in deliveries
    ]
