"""Marks to set in the mailbox: Read and Confirmed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, update
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.sql.expression import Select

from daemon.core.model import (
    OPEN_STATES,
    Attachment,
    LetterRef,
    Mark,
    MarkKind,
    MarkState,
    Message,
)
from daemon.store.database import Database

_ASKED_FOR = sql_select(col(Message.confirmation_needed)).where(
    col(Message.id) == bindparam("message")
)
_PARTS_WANTING = sql_select(func.count()).where(
    col(Attachment.message_id) == bindparam("message"),
    col(Attachment.state).in_(OPEN_STATES),
    col(Attachment.accepted_at).is_(None),
)


def _due(state: MarkState, mailbox: str, now: datetime, limit: int) -> Select[Mark, Message]:
    """For one state: of several, SQLite would sort all that are due to find the first."""
    return (
        select(Mark, Message)
        .join(Message, col(Message.id) == Mark.message_id)
        .where(Mark.state == state, Mark.due_at <= now, Message.mailbox == mailbox)
        .order_by(col(Mark.due_at), col(Mark.message_id), col(Mark.kind).desc())
        .limit(limit)
    )


class Marks:
    """Marks that are set or to be set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, mailbox: str, now: datetime, limit: int) -> list[tuple[Mark, LetterRef]]:
        """Return marks that may be set now, Read before Confirmed for each letter."""
        with self._database.read() as session:
            found = [
                (mark, message.ref)
                for state in (MarkState.DUE, MarkState.TOLD)
                for mark, message in session.exec(_due(state, mailbox, now, limit))
            ]
        found.sort(
            key=lambda each: (
                each[0].due_at,
                str(each[0].message_id),
                each[0].kind != MarkKind.READ,
            )
        )
        return found[:limit]

    def asked_for(self, message_id: UUID) -> bool:
        """Whether the letter's sender asked for a confirmation."""
        with self._database.read_one() as connection:
            return bool(connection.execute(_ASKED_FOR, {"message": message_id}).scalar())

    def parts_wanting(self, message_id: UUID) -> int:
        """Count the letter's attachments that may still come and are not accepted as missing."""
        with self._database.read_one() as connection:
            return int(connection.execute(_PARTS_WANTING, {"message": message_id}).scalar_one())

    def done(self, mark: Mark, now: datetime) -> None:
        """Record that the mark is set."""
        self._change(
            mark,
            {"state": MarkState.DONE, "done_at": now, "last_error": None, "refused_since": None},
        )

    def dropped(self, mark: Mark, reason: str) -> None:
        """Record that the mark will not be set: done, but without a time."""
        self._change(
            mark,
            {"state": MarkState.DONE, "done_at": None, "last_error": reason, "refused_since": None},
        )

    def told(self, mark: Mark, look_at: datetime, lost_since: datetime | None = None) -> None:
        """Record that the server accepted the mark; verify its effect at `look_at`.

        The server has lost marks since `lost_since`, if any.
        """
        self._change(
            mark,
            {
                "state": MarkState.TOLD,
                "due_at": look_at,
                "last_error": None,
                "refused_since": lost_since,
            },
        )

    def deferred(
        self, mark: Mark, reason: str, due_at: datetime, refused_since: datetime | None = None
    ) -> None:
        """Try a mark that could not be set again at `due_at`; it has failed since `refused_since`.

        One that was made due again in the meantime (`due_now`) stays due: the reason may be over.
        """
        this = (col(Mark.message_id) == mark.message_id, col(Mark.kind) == mark.kind)
        unchanged = col(Mark.due_at) == mark.due_at
        changes = {"last_error": reason, "refused_since": refused_since}
        with self._database.write() as session:
            session.execute(update(Mark).where(*this, unchanged).values(due_at=due_at))
            session.execute(
                update(Mark).where(*this).values(attempts=col(Mark.attempts) + 1, **changes)
            )

    def refused(self) -> dict[str, tuple[int, datetime]]:
        """Return how many marks fail at every attempt, and since when the first has, by mailbox."""
        wanted = (
            select(Message.mailbox, func.count(), func.min(Mark.refused_since))
            .join(Message, col(Message.id) == Mark.message_id)
            .where(
                col(Mark.state).in_((MarkState.DUE, MarkState.TOLD)),
                col(Mark.refused_since).is_not(None),
            )
            .group_by(col(Message.mailbox))
        )
        with self._database.read() as session:
            return {
                mailbox: (count, since) for mailbox, count, since in session.exec(wanted) if since
            }

    def due_now(self, message_id: UUID, now: datetime) -> None:
        """Make all due marks of the letter due now."""
        waiting = (
            col(Mark.message_id) == message_id,
            col(Mark.state).in_((MarkState.DUE, MarkState.TOLD)),
        )
        with self._database.write() as session:
            session.execute(update(Mark).where(*waiting).values(due_at=now))

    def outstanding(self) -> int:
        """Count the due marks, without those that the server has accepted."""
        with self._database.read() as session:
            return session.exec(
                select(func.count()).select_from(Mark).where(Mark.state == MarkState.DUE)
            ).one()

    def _change(self, mark: Mark, changes: dict[str, object]) -> None:
        this = (col(Mark.message_id) == mark.message_id, col(Mark.kind) == mark.kind)
        with self._database.write() as session:
            session.execute(
                update(Mark).where(*this).values(attempts=col(Mark.attempts) + 1, **changes)
            )
