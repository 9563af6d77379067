"""Edits of the routing table on the page: drafts, and those that are put in force."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from daemon.core.accounts import ChangeSource
from daemon.core.columns import enum_column


class RoutingDraft(SQLModel, table=True):
    """A user's edit of the routing table that is not published yet."""

    __tablename__ = "drafts"

    user: str = Field(primary_key=True)
    base: str = Field(description="the text that the edit began from")
    text: str
    saved_at: datetime


class PublicationState(StrEnum):
    """How far a publication has come."""

    BEGUN = "begun"  # the file may be the old one or the new one
    DONE = "done"
    DROPPED = "dropped"  # the file was never replaced


class Publication(SQLModel, table=True):
    """A routing table that somebody wanted in force, from before its file is replaced.

    With it, the history can be completed after a crash. Its text stays, because the service keeps
    only those that it had in force.
    """

    __tablename__ = "publications"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int | None = Field(default=None, primary_key=True)
    at: datetime
    version: str = Field(description="SHA-256 of the text", index=True)
    version_before: str | None = None
    text: str
    by: str
    reason: str
    source: ChangeSource = Field(sa_type=enum_column(ChangeSource))
    counts: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: PublicationState = Field(
        default=PublicationState.BEGUN, sa_type=enum_column(PublicationState)
    )
    approved_by: str | None = None
    approval: int | None = Field(default=None, description="the number of the approval's row")


class ApprovalState(StrEnum):
    """What became of a table that a second person must approve."""

    WAITING = "waiting"
    APPROVED = "approved"  # and published
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"  # by its author, who may have asked for another one


class Approval(SQLModel, table=True):
    """A routing table that its author wants published, and what a second person said to it."""

    __tablename__ = "approvals"
    __table_args__ = (Index("approvals_by_state", "state"), {"sqlite_autoincrement": True})

    number: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(description="when its author asked")
    version: str = Field(description="SHA-256 of the text")
    version_before: str = Field(description="the table that it was made from")
    text: str
    by: str = Field(description="its author")
    reason: str
    source: ChangeSource = Field(sa_type=enum_column(ChangeSource))
    counts: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: ApprovalState = Field(default=ApprovalState.WAITING, sa_type=enum_column(ApprovalState))
    decided_at: datetime | None = None
    decided_by: str | None = None
    answer: str = Field(default="", description="why it was declined")


class DismissedProposal(SQLModel, table=True):
    """A proposal for a route, made from corrections, that is not to be made again."""

    __tablename__ = "dismissed_proposals"

    key: str = Field(primary_key=True)
    at: datetime
    by: str
