"""Calendars of deadlines, by the secret token in their address. Each change is an event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import col, delete, select, update

from daemon.core.accounts import Event, User, known_as
from daemon.core.bookkeeping import Calendar
from daemon.core.errors import NotFound
from daemon.store.database import Database
from daemon.store.events import append
from daemon.store.login_tokens import new_token, token_id
from daemon.store.sessions import require_enabled
from daemon.store.users import Actor

MADE, REVOKED = "calendar-made", "calendar-revoked"
"""The kinds of the events."""
_NOTED_EVERY = timedelta(hours=1)
SHORT = 8
"""Characters of an id that people see."""


class Calendars:
    """Calendars. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(
        self,
        now: datetime,
        by: Actor,
        *,
        user: str | None = None,
        recipient: str = "",
        titles: bool = False,
    ) -> str:
        """Make a calendar of a user, of a recipient or of both; return its token, once and for all.

        Raises NotFound if the user is unknown or disabled.
        """
        token = new_token()
        with self._database.write() as session:
            name = known_as(user) if user else None
            if name:
                require_enabled(session, name)
            made = Calendar(
                id=token_id(token),
                user=name,
                recipient=recipient,
                titles=titles,
                made_at=now,
                made_by=by.name,
            )
            session.add(made)
            append(session, _event(MADE, made, now, by))
        return token

    def find(self, token: str, now: datetime) -> Calendar | None:
        """Return the calendar, and note its use.

        None if it was revoked, or if its user is disabled.
        """
        found = self._database.find(Calendar, token_id(token))
        if found is None or (found.user and not self._is_enabled(found.user)):
            return None
        if found.used_at is None or abs(now - found.used_at) >= _NOTED_EVERY:
            used = update(Calendar).where(col(Calendar.id) == found.id).values(used_at=now)
            with self._database.write() as session:
                session.exec(used)
        return found

    def all(self, user: str | None = None) -> Sequence[Calendar]:
        """Return the calendars of a user, or all, in the order in which they were made."""
        wanted = select(Calendar).order_by(col(Calendar.made_at), col(Calendar.id))
        if user is not None:
            wanted = wanted.where(Calendar.user == known_as(user))
        return self._database.rows(wanted)

    def revoke(self, name: str, now: datetime, by: Actor, user: str | None = None) -> Calendar:
        """End the calendar whose id begins so; with `user`, only one of theirs. Raises NotFound."""
        wanted = select(Calendar).where(col(Calendar.id).startswith(name, autoescape=True))
        if user is not None:
            wanted = wanted.where(Calendar.user == known_as(user))
        with self._database.write() as session:
            found = session.exec(wanted).all()
            if len(found) != 1 or not name:
                raise NotFound(
                    f"The calendar {name[:SHORT]!r} does not exist; list them with `postmottak "
                    "deadlines calendars list`"
                )
            session.exec(delete(Calendar).where(col(Calendar.id) == found[0].id))
            append(session, _event(REVOKED, found[0], now, by))
        return found[0]

    def _is_enabled(self, name: str) -> bool:
        user = self._database.find(User, name)
        return user is not None and user.disabled_at is None


def _event(kind: str, calendar: Calendar, now: datetime, by: Actor) -> Event:
    return Event(
        at=now,
        kind=kind,
        user=by.name,
        address=by.address,
        about=calendar.user or calendar.recipient,
        done=True,
        details={"calendar": calendar.id[:SHORT], "recipient": calendar.recipient},
        previous="",
        hash="",
    )
