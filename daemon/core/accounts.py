"""Who may use the page, and what has been done: users, sessions, and the log of events."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from daemon.core.columns import enum_column
from daemon.core.errors import OperatorError

_NAME = re.compile(r"\w[\w.@+-]{0,99}")
CONFIDENTIAL = "confidential"
"""What a stored grant has instead of a role, for the right that no role brings."""


class UserSource(StrEnum):
    """Where a user comes from."""

    LOCAL = "local"  # added here
    OIDC = "oidc"
    PROXY = "proxy"


class ChangeSource(StrEnum):
    """How a routing table came into force."""

    PAGE = "page"
    FILE = "file"
    COMMAND = "command"
    ROLLBACK = "rollback"


class EventKind(StrEnum):
    """Kinds of events about users."""

    USER_ADDED = "user-added"
    USER_DISABLED = "user-disabled"
    USER_ENABLED = "user-enabled"
    PASSWORD_SET = "password-set"  # noqa: S105  # no password
    RIGHTS_SET = "rights-set"
    LOGIN_LINK_MADE = "login-link-made"


def known_as(text: str) -> str:
    """Return the text as names are stored: lower case, composed, without space around it."""
    return unicodedata.normalize("NFC", text.strip().lower())


def is_user_name(text: str) -> bool:
    """Whether a user can have this name, in any case of letters."""
    return bool(_NAME.fullmatch(known_as(text)))


def user_name(text: str) -> str:
    """Return the name for a new user, as it is stored. Raises OperatorError."""
    name = known_as(text)
    if not is_user_name(text):
        raise OperatorError(
            f"{text[:100]!r} is not a valid user name; use at most 100 letters, digits and the "
            "characters . @ + - _, and begin with a letter or a digit"
        )
    return name


class User(SQLModel, table=True):
    """A user of the page. Is never deleted, because events name it."""

    __tablename__ = "users"

    name: str = Field(primary_key=True, description="in lower case")
    password_hash: str | None = Field(default=None, description="None: no log-in by password")
    disabled_at: datetime | None = None
    created_at: datetime
    language: str = "nb"
    source: UserSource = Field(default=UserSource.LOCAL, sa_type=enum_column(UserSource))


class StoredGrant(SQLModel, table=True):
    """A role of a user, for the letters of some recipients and organisations or for all."""

    __tablename__ = "grants"

    id: int | None = Field(default=None, primary_key=True)
    user: str = Field(foreign_key="users.name", index=True)
    role: str = Field(description="a role, or `confidential`")
    recipients: list[str] = Field(
        default_factory=list, sa_type=JSON, description="the limits; empty for every recipient"
    )
    parties: list[str] = Field(
        default_factory=list, sa_type=JSON, description="likewise, organisation numbers"
    )


class LoginSession(SQLModel, table=True):
    """A browser in which a user is logged in."""

    __tablename__ = "sessions"

    id: str = Field(primary_key=True, description="SHA-256 of the cookie's token, in hex")
    user: str = Field(foreign_key="users.name", index=True)
    created_at: datetime
    used_at: datetime = Field(description="the last use, to about a minute")
    ends_at: datetime = Field(description="the latest end, however much it is used")
    address: str = Field(description="the network address it began from")


class PendingLogin(SQLModel, table=True):
    """A log-in that was begun and leads over a provider, where any node may finish it."""

    __tablename__ = "pending_logins"

    id: str = Field(primary_key=True, description="of the browser's token, which is not kept")
    ends_at: datetime
    data: str = Field(description="what must come back unchanged, as JSON")


class LoginLink(SQLModel, table=True):
    """A link that logs its user in once."""

    __tablename__ = "login_links"

    id: str = Field(primary_key=True, description="SHA-256 of the link's token, in hex")
    user: str = Field(foreign_key="users.name", index=True)
    ends_at: datetime
    used_at: datetime | None = None


class LoginAttempts(SQLModel, table=True):
    """How many attempts to log in are left for an account or an address: a token bucket."""

    __tablename__ = "login_attempts"

    key: str = Field(primary_key=True, description="such as `user:anna`, `address:10.0.0.1`")
    tokens: float = Field(description="attempts left; below 0 after attempts without any")
    at: datetime = Field(description="when that was so")


class Event(SQLModel, table=True):
    """Something that a user did, or was refused. Rows are only ever added, and never name titles.

    Each has the hash of the one before, so that a changed or removed one is noticed.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_user", "user"),
        Index("events_by_kind", "kind"),
        Index("events_by_message", "message_id"),
        Index("events_by_done", "done"),
        {"sqlite_autoincrement": True},  # the numbers of removed rows are not used again
    )

    number: int | None = Field(default=None, primary_key=True)
    at: datetime
    user: str = Field(description="who did it, or gave this name in vain")
    address: str = Field(description="from where; empty for a command on this machine")
    kind: str
    message_id: UUID | None = Field(default=None, description="may be of a letter deleted since")
    about: str = Field(description="what it was done to, if not to a letter, such as a user")
    done: bool = Field(description="false if it was refused")
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    previous: str = Field(description="the hash of the event before; empty in the first")
    hash: str = Field(description="SHA-256 of all of the above, in hex")


class RoutingChange(SQLModel, table=True):
    """A routing table that was put into force: by whom, why and how. Rows are only ever added."""

    __tablename__ = "routing_changes"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int | None = Field(default=None, primary_key=True)
    at: datetime
    version: str = Field(description="the table in force since then: SHA-256 of its text")
    version_before: str | None = Field(default=None, description="None if there was none")
    by: str
    reason: str
    source: ChangeSource = Field(sa_type=enum_column(ChangeSource))
    counts: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSON, description="how many letters it moved, and so on"
    )
    approved_by: str | None = Field(default=None, description="who, besides `by`, wanted it")
