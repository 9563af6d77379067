"""Letters that are opened at the other side, which leaves a mark there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, update
from sqlmodel import col, select

from daemon.core.missing_files import MissingFile, MissingFileValues, OpeningRow
from daemon.core.model import Attachment, AttachmentValues, Message
from daemon.store.database import Database, table_of


class Openings:
    """Letters that are, or are to be, opened at the other side."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, mailbox: str, now: datetime, limit: int) -> list[tuple[OpeningRow, Message]]:
        """Return the letters of the mailbox that are to be opened now."""
        wanted = (
            select(OpeningRow, Message)
            .join(Message, col(Message.id) == OpeningRow.message_id)
            .where(col(OpeningRow.due_at) <= now, Message.mailbox == mailbox)
            .order_by(col(OpeningRow.due_at))
            .limit(limit)
        )
        with self._database.read() as session:
            return list(session.exec(wanted))

    def of(self, message_id: UUID) -> OpeningRow | None:
        """Return the opening of a letter, if there is one."""
        with self._database.read() as session:
            return session.get(OpeningRow, message_id)

    def opened(
        self,
        message_id: UUID,
        attachments: Sequence[AttachmentValues],
        missing: Sequence[MissingFileValues],
        now: datetime,
    ) -> None:
        """Record that the letter was opened, and which attachments that has shown.

        Those that it has already stay as they are.
        """
        with self._database.write() as session:
            session.execute(
                update(OpeningRow)
                .where(col(OpeningRow.message_id) == message_id)
                .values(
                    opened_at=func.coalesce(col(OpeningRow.opened_at), now),
                    due_at=None,
                    tries=col(OpeningRow.tries) + 1,
                    last_error=None,
                )
            )
            known = set(
                session.exec(select(Attachment.position).where(Attachment.message_id == message_id))
            )
            for kind, rows in ((Attachment, attachments), (MissingFile, missing)):
                new = [dict(vars(each)) for each in rows if each.position not in known]
                if new:
                    session.connection().execute(insert(table_of(kind)), new)

    def failed(self, message_id: UUID, reason: str, due_at: datetime | None) -> None:
        """Record that the letter could not be opened; it is tried again at `due_at`, or not."""
        with self._database.write() as session:
            session.execute(
                update(OpeningRow)
                .where(col(OpeningRow.message_id) == message_id)
                .values(due_at=due_at, tries=col(OpeningRow.tries) + 1, last_error=reason)
            )
