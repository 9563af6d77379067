"""Who has a letter: a person acknowledges it, or rejects it with a reason.

Twice is once: a letter that somebody has acknowledged stays theirs, with the first name and time. A
rejected letter can be acknowledged later, by those to whom it was moved; both answers are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from daemon.core.bookkeeping import Acknowledgement, AcknowledgementState
from daemon.core.errors import OperatorError
from daemon.core.model import Message
from daemon.store import waits
from daemon.store.answers import event_of, in_words
from daemon.store.database import Database
from daemon.store.events import append
from daemon.store.names import only
from daemon.store.users import Actor

_ACKNOWLEDGED = AcknowledgementState.ACKNOWLEDGED
EVENTS = {state: f"letter-{state.value}" for state in AcknowledgementState}
"""The kinds of the events."""


class Acknowledgements:
    """What people have answered for letters. An answer and its event are one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acknowledge(
        self, message_id: UUID, by: str, now: datetime, actor: Actor, note: str = ""
    ) -> Acknowledgement:
        """Record that the person `by` has the letter; return what holds, which may be earlier.

        `actor` is the user in the log of events, which does not have the note. Raises NotFound, and
        OperatorError for a name that is empty or a text that is too long.
        """
        answer = _answer(AcknowledgementState.ACKNOWLEDGED, message_id, by, now, note)
        return self._add(answer, actor)

    def reject(
        self, message_id: UUID, by: str, now: datetime, actor: Actor, reason: str
    ) -> Acknowledgement:
        """Record that the letter is not for the person `by`; return what holds.

        A letter that was acknowledged or rejected before stays as it is. Raises as `acknowledge`,
        and OperatorError without a reason.
        """
        answer = _answer(AcknowledgementState.REJECTED, message_id, by, now, reason)
        if not answer.note:
            raise OperatorError("A rejection needs a reason")
        return self._add(answer, actor)

    def of(self, message_id: UUID) -> Sequence[Acknowledgement]:
        """Return the answers for the letter, in order; the last one holds."""
        return self._database.rows(
            select(Acknowledgement)
            .where(Acknowledgement.message_id == message_id)
            .order_by(col(Acknowledgement.number))
        )

    def _add(self, answer: Acknowledgement, actor: Actor) -> Acknowledgement:
        with self._database.write() as session:
            letter = session.exec(select(Message.id).where(Message.id == answer.message_id))
            only(letter.all(), f"message {answer.message_id}", "`postmottak messages list`")
            last = last_answer(session, answer.message_id)
            if last and last.state in {AcknowledgementState.ACKNOWLEDGED, answer.state}:
                return last
            answer.number = last.number + 1 if last else 1
            session.add(answer)
            follow = waits.acknowledged if answer.state is _ACKNOWLEDGED else waits.rejected
            follow(session, answer.message_id, answer.at)
            append(session, event_of(answer, EVENTS[answer.state], actor))
        return answer


def last_answer(session: Session, message_id: UUID) -> Acknowledgement | None:
    """Return the answer that holds, in the caller's transaction."""
    return session.exec(
        select(Acknowledgement)
        .where(Acknowledgement.message_id == message_id)
        .order_by(col(Acknowledgement.number).desc())
        .limit(1)
    ).first()


def _answer(
    state: AcknowledgementState, message_id: UUID, by: str, now: datetime, note: str
) -> Acknowledgement:
    by, note = in_words(by, note)
    return Acknowledgement(message_id=message_id, number=1, state=state, by=by, at=now, note=note)
