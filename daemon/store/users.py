"""Users of the page and their rights. Every change is an event, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, delete, select

from daemon.core.accounts import (
    CONFIDENTIAL,
    Event,
    EventKind,
    LoginLink,
    LoginSession,
    StoredGrant,
    User,
    UserSource,
    known_as,
    user_name,
)
from daemon.core.errors import NotFound, OperatorError
from daemon.core.rights import ROLES, Grant, Right, Role, UserAccess
from daemon.core.spelling import did_you_mean
from daemon.store.database import Database
from daemon.store.events import append


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who makes a change, and from where; the address is empty for a command on this machine."""

    name: str
    address: str = ""


@dataclass(frozen=True, kw_only=True)
class RoleGrant:
    """A role, or `confidential`, for some recipients and organisations, or for all."""

    role: str
    recipients: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()

    @property
    def rights(self) -> frozenset[Right]:
        """Return what it allows; nothing, if a later version named the role."""
        if self.role == CONFIDENTIAL:
            return frozenset({Right.CONFIDENTIAL})
        return ROLES[Role(self.role)] if self.role in set(Role) else frozenset()


class Users:
    """Users and what they may do. Names are found in any case of letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        name: str,
        now: datetime,
        by: Actor,
        *,
        grants: Sequence[RoleGrant] = (),
        password_hash: str | None = None,
        source: UserSource = UserSource.LOCAL,
        language: str = "nb",
    ) -> User:
        """Add a user. Raises OperatorError if the name is not valid or is in use."""
        user = User(
            name=user_name(name),
            created_at=now,
            password_hash=password_hash,
            source=source,
            language=language,
        )
        with self._database.write() as session:
            if session.get(User, user.name):
                raise OperatorError(f"there is a user {user.name!r} already; use another name")
            session.add(user)
            session.flush()
            _set_grants(session, user.name, grants)
            details = {"source": source, "password": password_hash is not None}
            _record(session, EventKind.USER_ADDED, user, now, by, details | _told(grants))
        return user

    def find(self, name: str) -> User | None:
        """Return the user, also a disabled one."""
        return self._database.find(User, known_as(name))

    def get(self, name: str) -> User:
        """Return the user, also a disabled one. Raises NotFound with the name that is closest."""
        with self._database.read() as session:
            return _user(session, name)

    def all(self) -> Sequence[User]:
        """Return every user, by name."""
        return self._database.rows(select(User).order_by(User.name))

    def grants(self, name: str) -> list[RoleGrant]:
        """Return the user's roles with their limits, in the order in which they were given."""
        wanted = select(StoredGrant).where(StoredGrant.user == known_as(name))
        return [_grant(each) for each in self._database.rows(wanted.order_by(col(StoredGrant.id)))]

    def access(self, name: str) -> UserAccess | None:
        """Return what the user may do now; None if the user is unknown or disabled."""
        user = self.find(name)
        if user is None or user.disabled_at is not None:
            return None
        grants = [
            Grant(
                rights=each.rights,
                recipients=frozenset(each.recipients),
                parties=frozenset(each.parties),
            )
            for each in self.grants(user.name)
        ]
        return UserAccess(name=user.name, grants=grants)

    def disable(self, name: str, now: datetime, by: Actor) -> bool:
        """Shut the user out: sessions and links end with it. Returns whether anything changed.

        Raises NotFound.
        """
        with self._database.write() as session:
            user = _user(session, name)
            if user.disabled_at is not None:
                return False
            user.disabled_at = now
            details = {"sessions": _end_logins(session, user.name)}
            _record(session, EventKind.USER_DISABLED, user, now, by, details)
        return True

    def enable(self, name: str, now: datetime, by: Actor) -> bool:
        """Let a disabled user in again. Returns whether anything changed. Raises NotFound."""
        with self._database.write() as session:
            user = _user(session, name)
            if user.disabled_at is None:
                return False
            user.disabled_at = None
            _record(session, EventKind.USER_ENABLED, user, now, by, {})
        return True

    def set_password_hash(
        self, name: str, password_hash: str | None, now: datetime, by: Actor
    ) -> None:
        """Set or, with None, remove the password, and end the user's sessions and links.

        Raises NotFound.
        """
        with self._database.write() as session:
            user = _user(session, name)
            user.password_hash = password_hash
            details = {
                "password": password_hash is not None,
                "sessions": _end_logins(session, user.name),
            }
            _record(session, EventKind.PASSWORD_SET, user, now, by, details)

    def grant(self, name: str, grants: Sequence[RoleGrant], now: datetime, by: Actor) -> bool:
        """Replace all roles of the user, and end the user's sessions and links.

        Returns whether anything changed: if not, sessions go on. Raises NotFound.
        """
        with self._database.write() as session:
            user = _user(session, name)
            stored = select(StoredGrant).where(StoredGrant.user == user.name)
            before = [_grant(each) for each in session.exec(stored.order_by(col(StoredGrant.id)))]
            if before == list(grants):
                return False
            _set_grants(session, user.name, grants)
            details = {
                **_told(grants),
                "before": _told(before)["grants"],
                "sessions": _end_logins(session, user.name),
            }
            _record(session, EventKind.RIGHTS_SET, user, now, by, details)
        return True


def _user(session: Session, name: str) -> User:
    found = session.get(User, known_as(name))
    if found is None:
        hint = did_you_mean(known_as(name), session.exec(select(User.name)).all())
        raise NotFound(
            f"the user {name!r} does not exist; "
            + (hint or "`postmottak web users list` shows the users that there are")
        )
    return found


def _grant(stored: StoredGrant) -> RoleGrant:
    return RoleGrant(
        role=stored.role, recipients=tuple(stored.recipients), parties=tuple(stored.parties)
    )


def _set_grants(session: Session, user: str, grants: Sequence[RoleGrant]) -> None:
    session.exec(delete(StoredGrant).where(col(StoredGrant.user) == user))
    for each in grants:
        recipients, parties = list(each.recipients), list(each.parties)
        session.add(StoredGrant(user=user, role=each.role, recipients=recipients, parties=parties))
        session.flush()  # one by one, so that they keep their order


def _end_logins(session: Session, user: str) -> int:
    """End the user's sessions and links; return how many sessions."""
    session.exec(delete(LoginLink).where(col(LoginLink.user) == user))
    return session.exec(delete(LoginSession).where(col(LoginSession.user) == user)).rowcount


def _told(grants: Sequence[RoleGrant]) -> dict[str, Any]:
    return {
        "grants": [
            {"role": each.role, "recipients": each.recipients, "parties": each.parties}
            for each in grants
        ]
    }


def _record(  # one for each fact
    session: Session,
    kind: EventKind,
    user: User,
    now: datetime,
    by: Actor,
    details: Mapping[str, Any],
) -> None:
    append(
        session,
        Event(
            at=now,
            kind=kind,
            user=by.name,
            address=by.address,
            about=user.name,
            done=True,
            details=dict(details),
            previous="",
            hash="",
        ),
    )
