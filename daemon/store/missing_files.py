"""Attachments that are asked for again, and what becomes of deliveries that were made without."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, text, update
from sqlmodel import Session, col, select

from daemon.core.missing_files import MissingFile
from daemon.core.model import (
    NOT_HAD,
    Attachment,
    AttachmentValues,
    Delivery,
    DeliveryState,
    Message,
    PartState,
)
from daemon.store.database import Database
from daemon.store.generations import send_again
from daemon.store.removals import Has, not_known, require

_BEGUN = (DeliveryState.CLAIMED, DeliveryState.DELIVERED)


class MissingFiles:
    """Attachments that did not come with their letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(
        self, mailbox: str, now: datetime, limit: int
    ) -> list[tuple[MissingFile, Attachment, Message]]:
        """Return those of the mailbox that are to be asked for now, the longest due first."""
        wanted = (
            select(MissingFile, Attachment, Message)
            .join(Message, col(Message.id) == MissingFile.message_id)
            .join(
                Attachment,
                (col(Attachment.message_id) == MissingFile.message_id)
                & (col(Attachment.position) == MissingFile.position),
            )
            .where(col(MissingFile.due_at) <= now, Message.mailbox == mailbox)
            .order_by(col(MissingFile.due_at), col(MissingFile.position))
            .limit(limit)
        )
        with self._database.read() as session:
            return list(session.exec(wanted))

    def of(self, message_id: UUID) -> dict[int, MissingFile]:
        """Return those of a letter, by the attachment's position."""
        wanted = select(MissingFile).where(MissingFile.message_id == message_id)
        return {each.position: each for each in self._database.rows(wanted)}

    def missed(
        self,
        file: MissingFile,
        state: PartState,
        reason: str,
        now: datetime,
        due_at: datetime | None,
    ) -> None:
        """Record that it could not be fetched; it is asked for again at `due_at`, or not."""
        changes = {"reason": reason, "tried_at": now, "due_at": due_at}
        with self._database.write() as session:
            session.execute(
                update(MissingFile)
                .where(*_this(MissingFile, file))
                .values(**changes, tries=col(MissingFile.tries) + 1)
            )
            session.execute(
                update(Attachment)
                .where(*_this(Attachment, file), text(NOT_HAD))
                .values(state=state)
            )

    def came(self, values: AttachmentValues, now: datetime, has: Has = not_known) -> None:
        """Record an attachment whose bytes are durable, and the deliveries that lack it.

        One that came, or was deleted, meanwhile stays as it is. Raises ContentMissing if the bytes
        were being removed; `has` says whether bytes are there.
        """
        with self._database.write() as session:
            require(session, [values.sha256] if values.sha256 else [], has)
            changed = session.execute(
                update(Attachment)
                .where(*_this(Attachment, values), text(NOT_HAD))
                .values(state=values.state, size=values.size, sha256=values.sha256)
            )
            here = bool(getattr(changed, "rowcount", 0))
            lacking = _lacking(session, values.message_id) if here else {}
            session.execute(
                update(MissingFile)
                .where(*_this(MissingFile, values), col(MissingFile.came_at).is_(None))
                .values(came_at=now, due_at=None, tried_at=now, lacking=lacking)
            )

    def settle(self, now: datetime, destinations: Collection[str] | None = None) -> list[UUID]:
        """Deliver letters again where they were delivered without what has come since.

        Only to `destinations`, if given: others are gone. A delivery that was in flight is judged
        when it has ended. Returns the new deliveries. May be repeated.
        """
        new: list[UUID] = []
        came = select(MissingFile).where(
            col(MissingFile.settled_at).is_(None), col(MissingFile.came_at).is_not(None)
        )
        for message_id in dict.fromkeys(each.message_id for each in self._database.rows(came)):
            with self._database.write() as session:
                rows = session.exec(came.where(MissingFile.message_id == message_id)).all()
                new += _settle(session, message_id, rows, now, destinations)
        return new


def _this(
    table: type[MissingFile | Attachment], which: MissingFile | AttachmentValues
) -> tuple[ColumnElement[bool], ...]:
    return (
        col(table.message_id) == which.message_id,
        col(table.position) == which.position,
    )


def _lacking(session: Session, message_id: UUID) -> dict[str, int]:
    """Return the newest deliveries that were made, or begun, without an attachment."""
    return {
        str(each.id): each.fence
        for each in _newest(session, message_id).values()
        if each.state in _BEGUN
    }


def _newest(session: Session, message_id: UUID) -> dict[str, Delivery]:
    """Return each destination's newest delivery that is not withdrawn."""
    wanted = (
        select(Delivery)
        .where(Delivery.message_id == message_id, Delivery.state != DeliveryState.WITHDRAWN)
        .order_by(col(Delivery.generation))
    )
    return {each.destination: each for each in session.exec(wanted)}


def _settle(
    session: Session,
    message_id: UUID,
    rows: Sequence[MissingFile],
    now: datetime,
    destinations: Collection[str] | None,
) -> Iterator[UUID]:
    """Send again what has been delivered, and settle the attachments that nothing waits for."""
    by_id = {
        str(each.id): each
        for each in _newest(session, message_id).values()
        if destinations is None or each.destination in destinations
    }
    sent: set[str] = set()
    for row in rows:
        # one that is not among them, or has another fence, begins or began with the attachment
        begun = [
            (key, by_id[key].state)
            for key, fence in row.lacking.items()
            if key in by_id and by_id[key].fence == fence
        ]
        for key, state in begun:
            if state is DeliveryState.DELIVERED and key not in sent:
                sent.add(key)
                yield send_again(session, by_id[key], now)
        if not any(state is DeliveryState.CLAIMED for _, state in begun):
            row.settled_at = now
            session.add(row)
