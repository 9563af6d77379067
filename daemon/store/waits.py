"""When a letter begins and ends to wait for a person, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlmodel import Session, col, select

from daemon.core.awaited import AwaitedLetter, AwaitedValues
from daemon.core.bookkeeping import Acknowledgement, AcknowledgementState
from daemon.core.model import Mark, MarkState, Policy


def begin(session: Session, values: AwaitedValues | None, message_id: UUID) -> None:
    """Let a letter wait from a new decision on, or no more if it needs no acknowledgement.

    One that somebody has acknowledged stays theirs, and waits no more: nobody could end that.
    """
    row = session.get(AwaitedLetter, message_id)
    if values and not _is_acknowledged(session, message_id):
        session.merge(AwaitedLetter(**values.model_dump()))
    elif row:
        row.look_at = None
        session.add(row)


def _is_acknowledged(session: Session, message_id: UUID) -> bool:
    wanted = select(Acknowledgement.number).where(
        Acknowledgement.message_id == message_id,
        Acknowledgement.state == AcknowledgementState.ACKNOWLEDGED,
    )
    return session.exec(wanted.limit(1)).first() is not None


def acknowledged(session: Session, message_id: UUID, now: datetime) -> None:
    """End a letter's wait, and let the sender know where that is wanted."""
    this = col(AwaitedLetter.message_id) == message_id
    session.execute(update(AwaitedLetter).where(this).values(look_at=None, rejected_at=None))
    session.execute(
        update(Mark)
        .where(
            col(Mark.message_id) == message_id,
            col(Mark.policy) == Policy.ACKNOWLEDGED,
            col(Mark.state) == MarkState.WAITING,
        )
        .values(state=MarkState.DUE, due_at=now)
    )


def rejected(session: Session, message_id: UUID, now: datetime) -> None:
    """Let those be told who can move the letter."""
    this = (
        col(AwaitedLetter.message_id) == message_id,
        col(AwaitedLetter.look_at).is_not(None),
    )
    session.execute(update(AwaitedLetter).where(*this).values(look_at=now, rejected_at=now))
