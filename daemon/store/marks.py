"""Marks that are to be set in the mailbox: Read and Confirmed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, update
from sqlmodel import col, select

from daemon.model import LetterRef, Mark, MarkState, Message
from daemon.store.engine import Database


class Marks:
    """Marks that are to be set, and those that were."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, mailbox: str, now: datetime, limit: int) -> list[tuple[Mark, LetterRef]]:
        """Marks that may be set now, Read before Confirmed for each letter."""
        wanted = (
            select(Mark, Message)
            .join(Message, col(Message.id) == Mark.message_id)
            .where(col(Mark.state).in_((MarkState.DUE, MarkState.TOLD)), Mark.due_at <= now, Message.mailbox == mailbox)
            .order_by(col(Mark.due_at), col(Mark.message_id), col(Mark.kind).desc())
            .limit(limit)
        )
        with self._database.read() as session:
            return [(mark, message.ref) for mark, message in session.exec(wanted)]

    def done(self, mark: Mark, now: datetime) -> None:
        """The other side has been told."""
        self._change(mark, {"state": MarkState.DONE, "done_at": now, "last_error": None})

    def told(self, mark: Mark, look_at: datetime) -> None:
        """The other side has accepted it; look at `look_at` whether it took effect."""
        self._change(mark, {"state": MarkState.TOLD, "due_at": look_at, "last_error": None})

    def deferred(self, mark: Mark, reason: str, due_at: datetime) -> None:
        """The other side could not be told; try again at `due_at`."""
        self._change(mark, {"due_at": due_at, "last_error": reason})

    def outstanding(self) -> int:
        """How many marks are due; those that were told and not yet looked at are not among them."""
        with self._database.read() as session:
            return session.exec(select(func.count()).select_from(Mark).where(Mark.state == MarkState.DUE)).one()

    def _change(self, mark: Mark, changes: dict[str, object]) -> None:
        this = (col(Mark.message_id) == mark.message_id, col(Mark.kind) == mark.kind)
        with self._database.write() as session:
            session.execute(update(Mark).where(*this).values(attempts=col(Mark.attempts) + 1, **changes))
