"""What somebody who leaves holds in the store, and that it was handed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_
from sqlmodel import col, delete, select

from daemon.core.accounts import Event, User, known_as
from daemon.core.awaited import AwaitedLetter
from daemon.core.bookkeeping import Calendar
from daemon.store.awaited import OPEN
from daemon.store.database import Database
from daemon.store.events import append
from daemon.store.users import Actor

HANDED_OVER = "handed-over"
"""The kind of the event."""


class Handovers:
    """Hand-overs. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self, recipients: Collection[str]) -> dict[UUID, Sequence[str]]:
        """Return the letters that wait for people of these recipients, and for whom each does."""
        wanted = select(AwaitedLetter.message_id, AwaitedLetter.recipients).where(OPEN)
        with self._database.read() as session:
            rows = session.exec(wanted).all() if recipients else []
        return {key: named for key, named in rows if not {*recipients}.isdisjoint(named)}

    def calendars(self, name: str) -> int:
        """Return how many calendars are of the user or the recipient."""
        return len(self._database.rows(select(Calendar.id).where(_theirs(name))))

    def holders(self, people: Collection[str]) -> list[str]:
        """Return the users who are disabled and are among `people`, or have calendars."""
        with self._database.read() as session:
            gone = select(User.name).where(col(User.disabled_at).is_not(None)).order_by(User.name)
            names = session.exec(gone).all()
            having = set(session.exec(select(Calendar.user).where(col(Calendar.user).in_(names))))
        return [each for each in names if each in people or each in having]

    def finish(
        self, name: str, to: str, now: datetime, by: Actor, counts: Mapping[str, Any]
    ) -> None:
        """Revoke the calendars, and record the hand-over as one event; one transaction."""
        event = Event(
            at=now,
            kind=HANDED_OVER,
            user=by.name,
            address=by.address,
            about=name,
            done=True,
            details={"to": to, **counts},
            previous="",
            hash="",
        )
        with self._database.write() as session:
            session.exec(delete(Calendar).where(_theirs(name)))
            append(session, event)


def _theirs(name: str) -> ColumnElement[bool]:
    """Their own, and those of a recipient of the name, whose addresses they may know."""
    return or_(col(Calendar.user) == known_as(name), col(Calendar.recipient) == name)
