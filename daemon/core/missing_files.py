"""Attachments that are not here yet, and dialogs that are opened for theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Why an attachment is not here. `retry` says whether asking again by itself may help."""

    reason: str
    retry: bool = False
    wait: timedelta | None = None
    """The shortest wait that the server asked for, if it did."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A letter that leaves a mark when it is opened for its attachments: who is seen, and why.

    `done` says whether that has happened; otherwise it is opened once the letter is stored.
    """

    by: str
    why: str
    done: bool


class MissingFileValues(SQLModel):
    """An attachment that did not come with its letter."""

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    position: int = Field(primary_key=True, description="the attachment's")
    reason: str = Field(description="why it could not be fetched the last time")
    since: datetime
    tries: int = 1
    tried_at: datetime
    due_at: datetime | None = Field(
        default=None, description="when it is asked for again; None if it is not"
    )
    came_at: datetime | None = None
    lacking: dict[str, int] = Field(
        default_factory=dict,
        sa_type=JSON,
        description="deliveries, by id, that were made or begun when it came, and their fences",
    )
    settled_at: datetime | None = Field(
        default=None, description="when those were sent again, or found to need it not"
    )


class MissingFile(MissingFileValues, table=True):
    """An attachment that is, or was, missing."""

    __tablename__ = "missing_files"
    __table_args__ = (
        Index("missing_files_by_due", "due_at"),
        Index("missing_files_by_arrival", "settled_at", "came_at"),
    )


class OpeningValues(SQLModel):
    """A letter that was opened at the other side, or is to be, which leaves a mark there."""

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    by: str = Field(description="who is seen to have opened it")
    why: str
    since: datetime = Field(description="when the letter was fetched")
    due_at: datetime | None = Field(
        default=None, index=True, description="None once it is opened, or not tried any more"
    )
    tries: int = 0
    opened_at: datetime | None = None
    last_error: str | None = None


class OpeningRow(OpeningValues, table=True):
    """An opening of a stored letter."""

    __tablename__ = "openings"
