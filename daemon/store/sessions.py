"""Sessions of the page: a browser in which a user is logged in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete, or_, select, update

from daemon.core.accounts import LoginLink, LoginSession, User, known_as
from daemon.core.errors import NotFound
from daemon.store.database import Database
from daemon.store.login_tokens import new_token, token_id

IDLE, LONGEST = timedelta(hours=8), timedelta(hours=12)
"""A session ends so long after it was last used, and at the latest so long after it began."""
_NOTED = timedelta(minutes=1)


class Sessions:
    """Sessions, by the token that the browser has. Names are found in any case of letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, user: str, address: str, now: datetime) -> str:
        """Begin a session of a user who has proved to be it, and return its token.

        Raises NotFound if the user is unknown or was disabled meanwhile.
        """
        token, user = new_token(), known_as(user)
        begun = LoginSession(
            id=token_id(token),
            user=user,
            created_at=now,
            used_at=now,
            ends_at=now + LONGEST,
            address=address,
        )
        with self._database.write() as session:
            require_enabled(session, user)
            ended = or_(col(LoginSession.ends_at) <= now, col(LoginSession.used_at) <= now - IDLE)
            session.exec(delete(LoginSession).where(ended))
            session.add(begun)
        return token

    def find(self, token: str, now: datetime) -> str | None:
        """Return whose session it is, and note that it is used; None if it has ended."""
        live = (
            select(LoginSession)
            .join(User, col(User.name) == col(LoginSession.user))
            .where(
                LoginSession.id == token_id(token),
                col(LoginSession.ends_at) > now,
                col(LoginSession.used_at) > now - IDLE,
                col(User.disabled_at).is_(None),
            )
        )
        with self._database.read() as session:
            found = session.exec(live).first()
        if found is None:
            return None
        if now - found.used_at >= _NOTED:
            with self._database.write() as session:
                used = update(LoginSession).where(col(LoginSession.id) == found.id)
                session.exec(used.values(used_at=now))
        return found.user

    def end(self, token: str) -> None:
        """End the session; one that has ended already stays so."""
        with self._database.write() as session:
            session.exec(delete(LoginSession).where(col(LoginSession.id) == token_id(token)))

    def end_all(self, user: str) -> int:
        """End every session of the user, and return how many there were."""
        with self._database.write() as session:
            mine = delete(LoginSession).where(col(LoginSession.user) == known_as(user))
            return session.exec(mine).rowcount

    def end_one(self, user: str, session_id: str) -> bool:
        """End a session of the user, by its id; return whether there was one."""
        with self._database.write() as session:
            mine = col(LoginSession.user) == known_as(user), col(LoginSession.id) == session_id
            return bool(session.exec(delete(LoginSession).where(*mine)).rowcount)

    def end_others(self, user: str, token: str) -> int:
        """End every session of the user but that of the token; return how many there were."""
        with self._database.write() as session:
            others = (
                col(LoginSession.user) == known_as(user),
                col(LoginSession.id) != token_id(token),
            )
            return session.exec(delete(LoginSession).where(*others)).rowcount

    def end_everywhere(self) -> None:
        """End the sessions and links of all users."""
        with self._database.write() as session:
            session.exec(delete(LoginSession))
            session.exec(delete(LoginLink))

    def of(self, user: str, now: datetime) -> Sequence[LoginSession]:
        """Return the user's sessions that have not ended, the newest first."""
        live = select(LoginSession).where(
            LoginSession.user == known_as(user),
            col(LoginSession.ends_at) > now,
            col(LoginSession.used_at) > now - IDLE,
        )
        return self._database.rows(live.order_by(col(LoginSession.created_at).desc()))


def require_enabled(session: Session, name: str) -> None:
    """Raise NotFound unless there is such a user, and it is not disabled."""
    found = session.get(User, name)
    if found is None or found.disabled_at is not None:
        raise NotFound(
            f"the user {name!r} {'is disabled' if found else 'does not exist'}; "
            "`postmottak web users list` shows all"
        )
