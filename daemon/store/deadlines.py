"""What persons say of deadlines: when one is due, that nothing is, or that it is done.

Rows are only added; what holds is decided by `daemon.core.deadlines`. Twice is once: what was said
last is not said again, unless with another note. An answer and its event are one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from daemon.core.bookkeeping import AcknowledgementState, DeadlineAnswer
from daemon.core.deadlines import DeadlineFacts, DeadlineState
from daemon.core.errors import NotFound, OperatorError
from daemon.store.acknowledgements import last_answer
from daemon.store.answers import event_of, in_words
from daemon.store.database import Database
from daemon.store.due_letters import read_facts
from daemon.store.events import append
from daemon.store.users import Actor

EVENTS = {state: f"deadline-{state.value}" for state in DeadlineState}
"""The kinds of the events."""


class Deadlines:
    """What persons have said of deadlines. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def confirm(
        self,
        message_id: UUID,
        by: str,
        now: datetime,
        actor: Actor,
        *,
        due_at: datetime | None = None,
        note: str = "",
    ) -> DeadlineFacts:
        """Record that the person `by` says when the letter wants an answer.

        Without `due_at`, it is when the deadline that holds says. `actor` is the user in the log of
        events, which has neither the note nor the day. Returns what is known now. Raises NotFound,
        and OperatorError for a name that is empty, a text that is too long, or a letter without a
        deadline to confirm.
        """
        answer = _answer(DeadlineState.CONFIRMED, message_id, by, now, note)
        answer.due_at = due_at
        return self._add(answer, actor)

    def drop(
        self, message_id: UUID, by: str, now: datetime, actor: Actor, *, reason: str = ""
    ) -> DeadlineFacts:
        """Record that the person `by` says that nothing is due; as `confirm` otherwise."""
        return self._add(_answer(DeadlineState.DROPPED, message_id, by, now, reason), actor)

    def handle(
        self, message_id: UUID, by: str, now: datetime, actor: Actor, *, note: str = ""
    ) -> DeadlineFacts:
        """Record that what was due is done; as `confirm` otherwise.

        Raises OperatorError if nobody has acknowledged the letter.
        """
        return self._add(_answer(DeadlineState.HANDLED, message_id, by, now, note), actor)

    def facts(self, message_id: UUID) -> DeadlineFacts:
        """Return what is known of a letter's deadline. Raises NotFound."""
        with self._database.read() as session:
            return _facts(session, message_id)

    def answers(self, message_id: UUID) -> Sequence[DeadlineAnswer]:
        """Return what persons have said of it, in order."""
        return self._database.rows(
            select(DeadlineAnswer)
            .where(DeadlineAnswer.message_id == message_id)
            .order_by(col(DeadlineAnswer.number))
        )

    def _add(self, answer: DeadlineAnswer, actor: Actor) -> DeadlineFacts:
        with self._database.write() as session:
            facts = _facts(session, answer.message_id)
            _check(session, answer, facts)
            if _says_no_more(answer, facts):
                return facts
            answer.number = len(facts.words) + 1
            session.add(answer)
            append(session, event_of(answer, EVENTS[answer.state], actor))
            return _facts(session, answer.message_id)


def _facts(session: Session, message_id: UUID) -> DeadlineFacts:
    found = read_facts(session.connection(), [message_id]).get(message_id)
    if found is None:
        raise NotFound(
            f"The message {message_id} does not exist; list them with `postmottak messages list`"
        )
    return found


def _check(session: Session, answer: DeadlineAnswer, facts: DeadlineFacts) -> None:
    """Complete a confirmation, and refuse what makes no sense. Raises OperatorError."""
    if answer.state is DeadlineState.CONFIRMED and answer.due_at is None:
        if facts.last is None:
            raise OperatorError("The letter has no deadline to confirm; say when it is due")
        answer.due_at = facts.last.due_at
    if answer.state is DeadlineState.HANDLED:
        last = last_answer(session, answer.message_id)
        if last is None or last.state is not AcknowledgementState.ACKNOWLEDGED:
            raise OperatorError(
                "Nobody has acknowledged the letter; acknowledge it first, with `postmottak "
                "messages acknowledge` or on the page"
            )


def _says_no_more(answer: DeadlineAnswer, facts: DeadlineFacts) -> bool:
    last = facts.words[-1] if facts.words else None
    if last is None or (last.state, last.due_at) != (answer.state, answer.due_at):
        return False
    return answer.note in {"", last.note}


def _answer(
    state: DeadlineState, message_id: UUID, by: str, now: datetime, note: str
) -> DeadlineAnswer:
    by, note = in_words(by, note)
    return DeadlineAnswer(message_id=message_id, number=1, state=state, by=by, at=now, note=note)
