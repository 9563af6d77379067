"""Attachments that did not come as sent: accepted by an operator, or fetched later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text, update
from sqlmodel import col

from daemon.core.missing_files import MissingFile
from daemon.core.model import NOT_HAD, Attachment, AttachmentValues, PartState
from daemon.store.database import Database
from daemon.store.removals import Has, not_known, require


class MissingAttachments:
    """Attachments that did not come as sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, message_id: UUID, now: datetime) -> None:
        """Record that an operator accepts that attachments of the letter did not come as sent."""
        lacking = (
            col(Attachment.message_id) == message_id,
            text(NOT_HAD),
            col(Attachment.accepted_at).is_(None),
        )
        with self._database.write() as session:
            session.execute(update(Attachment).where(*lacking).values(accepted_at=now))
            session.execute(
                update(MissingFile)
                .where(col(MissingFile.message_id) == message_id)
                .values(due_at=None)
            )

    def complete(
        self, came: Sequence[AttachmentValues], now: datetime, has: Has = not_known
    ) -> None:
        """Record the result of fetching attachments again, for an operator who sends it again.

        Those that came or were deleted meanwhile stay as they are. Raises ContentMissing if bytes
        were being removed; `has` says whether bytes are there.
        """
        with self._database.write() as session:
            require(session, [each.sha256 for each in came if each.sha256], has)
            for each in came:
                this = (
                    col(Attachment.message_id) == each.message_id,
                    col(Attachment.position) == each.position,
                )
                changes = {
                    "state": each.state,
                    "size": each.size,
                    "sha256": each.sha256,
                    "accepted_at": each.accepted_at,
                }
                session.execute(update(Attachment).where(*this, text(NOT_HAD)).values(**changes))
                if each.state is PartState.PRESENT:
                    row = (
                        col(MissingFile.message_id) == each.message_id,
                        col(MissingFile.position) == each.position,
                        col(MissingFile.came_at).is_(None),
                    )
                    session.execute(
                        update(MissingFile)
                        .where(*row)
                        .values(came_at=now, settled_at=now, due_at=None)
                    )
