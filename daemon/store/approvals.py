"""Routing tables that wait for a second person: asked for, and then approved or not.

Approving one is a publication, which `publications.py` records in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from daemon.core.edits import Approval, ApprovalState, Publication
from daemon.core.errors import NotFound, OperatorError
from daemon.store.database import Database

_WAITING = select(Approval).where(col(Approval.state) == ApprovalState.WAITING)


class NotWaiting(OperatorError):
    """The table does not wait for this person: somebody has answered, or it is their own."""


class Approvals:
    """What waits, and what was answered. Rows stay; only their answer is added."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, wanted: Approval) -> int:
        """Record that its author asks for it, durably; return its number.

        What the same author asked for before is withdrawn.
        """
        with self._database.write() as session:
            for earlier in session.exec(_WAITING.where(Approval.by == wanted.by)):
                _answer(earlier, ApprovalState.WITHDRAWN, wanted.by, wanted.at)
            session.add(wanted)
            session.flush()
            number = wanted.number
        assert number is not None
        return number

    def waiting(self) -> Sequence[Approval]:
        """Return what waits, the oldest first."""
        return self._database.rows(_WAITING.order_by(col(Approval.number)))

    def get(self, number: int) -> Approval:
        """Return one, whatever became of it. Raises NotFound."""
        if (found := self._database.find(Approval, number)) is None:
            raise NotFound(f"The approval {number} does not exist")
        return found

    def decline(self, number: int, by: str, reason: str, now: datetime) -> None:
        """Record that somebody else does not want it published. Raises NotWaiting."""
        with self._database.write() as session:
            found = require_waiting(session, number, by)
            _answer(found, ApprovalState.DECLINED, by, now)
            found.answer = reason

    def withdraw(self, number: int, by: str, now: datetime) -> None:
        """Record that its author takes it back. Raises NotWaiting."""
        with self._database.write() as session:
            found = session.get(Approval, number)
            if found is None or found.state is not ApprovalState.WAITING or found.by != by:
                raise NotWaiting("This table waits no longer, or is not yours")
            _answer(found, ApprovalState.WITHDRAWN, by, now)


def require_waiting(session: Session, number: int, by: str | None) -> Approval:
    """Return an approval that waits for `by`, who is not its author. Raises NotWaiting."""
    found = session.get(Approval, number)
    if found is None or found.state is not ApprovalState.WAITING:
        raise NotWaiting("Somebody has answered for this table already, or it was withdrawn")
    if not by or found.by == by:
        raise NotWaiting("A table is approved by somebody else than its author")
    return found


def note_published(session: Session, row: Publication) -> None:
    """Record that a table was approved, when its file was replaced."""
    found = session.get(Approval, row.approval)
    if found is not None and found.state is ApprovalState.WAITING:
        _answer(found, ApprovalState.APPROVED, row.approved_by or "", row.at)


def _answer(found: Approval, state: ApprovalState, by: str, now: datetime) -> None:
    found.state, found.decided_by, found.decided_at = state, by, now
