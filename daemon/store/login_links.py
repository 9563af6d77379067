"""Links that log a user in, once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, delete, select, update

from daemon.core.accounts import Event, EventKind, LoginLink, User, known_as
from daemon.store.database import Database
from daemon.store.events import append
from daemon.store.login_tokens import new_token, token_id
from daemon.store.sessions import require_enabled
from daemon.store.users import Actor

VALID = timedelta(minutes=5)
"""How long a link can be used."""


class LoginLinks:
    """Log-in links, by the token in their address."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, user: str, now: datetime, by: Actor) -> str:
        """Create a link and return its token. It is an event.

        Raises NotFound if the user is unknown or disabled.
        """
        token, user = new_token(), known_as(user)
        with self._database.write() as session:
            require_enabled(session, user)
            session.exec(delete(LoginLink).where(col(LoginLink.ends_at) <= now))
            session.add(LoginLink(id=token_id(token), user=user, ends_at=now + VALID))
            append(
                session,
                Event(
                    at=now,
                    kind=EventKind.LOGIN_LINK_MADE,
                    user=by.name,
                    address=by.address,
                    about=user,
                    done=True,
                    previous="",
                    hash="",
                ),
            )
        return token

    def take(self, token: str, now: datetime) -> str | None:
        """Use the link up, and return its user.

        None if it was used, has ended, or its user is disabled. Of several calls at the same
        moment, one gets the user.
        """
        mine = col(LoginLink.id) == token_id(token)
        enabled = select(User.name).where(col(User.disabled_at).is_(None))
        unused = (
            mine,
            col(LoginLink.used_at).is_(None),
            col(LoginLink.ends_at) > now,
            col(LoginLink.user).in_(enabled),
        )
        with self._database.write() as session:
            if not session.exec(update(LoginLink).where(*unused).values(used_at=now)).rowcount:
                return None
            return session.exec(select(LoginLink.user).where(mine)).one()
