"""Publications of the routing table, in two steps around the moment when its file is replaced.

The first step is durable before the file is touched. So after a crash at any point the file says
whether the table was published, and the history is completed by the first to look: the page, or the
service when it activates the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from daemon.core.accounts import ChangeSource, RoutingChange
from daemon.core.edits import Publication, PublicationState, RoutingDraft
from daemon.store.approvals import note_published, require_waiting
from daemon.store.database import Database

_OPEN = select(Publication).where(col(Publication.state) == PublicationState.BEGUN)


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What somebody wants in force, and why."""

    version: str
    version_before: str | None
    text: str
    by: str
    reason: str
    source: ChangeSource = ChangeSource.PAGE
    counts: Mapping[str, Any] = field(default_factory=dict)
    approved_by: str | None = None
    """Who approved it, where that is needed."""
    approval: int | None = None
    """The number of the approval, which must be waiting."""


class Publications:
    """Tables that are being published, and the texts of those that were."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, intent: Intent, now: datetime) -> int:
        """Record what is about to be published, durably; return its number.

        Raises OperatorError if its approval is not waiting, or is its author's own.
        """
        row = Publication(**{**vars(intent), "counts": dict(intent.counts)}, at=now)
        with self._database.write() as session:
            if intent.approval is not None:
                require_waiting(session, intent.approval, intent.approved_by)
            session.add(row)
            session.flush()
            number = row.number
        assert number is not None
        return number

    def finish(self, number: int) -> None:
        """Record in the history that the file was replaced. May be called twice.

        Another node may have taken it for one that was interrupted, because its own file is older.
        """
        with self._database.write() as session:
            row = session.get(Publication, number)
            if row and row.state is not PublicationState.DONE:
                _finish(session, row)

    def drop(self, number: int) -> None:
        """Record that the file was not replaced. May be called twice."""
        with self._database.write() as session:
            if (row := session.get(Publication, number)) and row.state is PublicationState.BEGUN:
                row.state = PublicationState.DROPPED

    def settle(self, version: str) -> None:
        """Complete, or drop, what a crash interrupted; `version` is that of the file now.

        Nothing may be published meanwhile by another process.
        """
        with self._database.read() as session:
            if session.exec(_OPEN).first() is None:
                return
        with self._database.write() as session:
            for row in session.exec(_OPEN):
                if row.version == version:
                    _finish(session, row)
                else:
                    row.state = PublicationState.DROPPED

    def text(self, version: str) -> str | None:
        """Return the text of a table that was published here, or None."""
        with self._database.read() as session:
            wanted = select(Publication.text).where(Publication.version == version).limit(1)
            return session.exec(wanted).first()


def note_active(session: Session, version: str, before: str | None, now: datetime) -> None:
    """Record in the history that the service activates a table, unless it is known to."""
    for row in session.exec(_OPEN.where(Publication.version == version)):
        _finish(session, row)
    session.flush()
    newest = select(RoutingChange.version).order_by(col(RoutingChange.number).desc()).limit(1)
    if session.exec(newest).first() != version:
        change = RoutingChange(
            at=now,
            version=version,
            version_before=before,
            by="",
            reason="",
            source=ChangeSource.FILE,
        )
        session.add(change)


def _finish(session: Session, row: Publication) -> None:
    """Record the change, and forget the draft that it came from."""
    row.state = PublicationState.DONE
    session.add(
        RoutingChange(
            at=row.at,
            version=row.version,
            version_before=row.version_before,
            by=row.by,
            reason=row.reason,
            source=row.source,
            counts=row.counts,
            approved_by=row.approved_by,
        )
    )
    if row.approval is not None:
        note_published(session, row)
    draft = session.get(RoutingDraft, row.by)
    if draft is not None and draft.text == row.text:
        session.delete(draft)
