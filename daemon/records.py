"""What is noted beside letters: what of them was deleted, what must stay, and what is wrong with the service."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from daemon.model import MessageKind, enum_column


class LetterPart(StrEnum):
    """What retention tells apart in a letter. Metadata is everything that is neither of the others."""

    BODY = "body"  # the text, and its summary
    ATTACHMENTS = "attachments"
    METADATA = "metadata"


COLLISION = "collision"
"""The kind of alert that begins with a delivery: something else had the letter's name."""


class Alert(SQLModel, table=True):
    """Something that is wrong, or was and has ended without everybody having been told. Rows go when nothing is left to tell."""

    __tablename__ = "alerts"

    key: str = Field(primary_key=True, description="what is wrong with what, such as `dead erp`")
    kind: str
    critical: bool
    text: str
    began_at: datetime
    ended_at: datetime | None = None
    told: dict[str, str] = Field(default_factory=dict, sa_type=JSON, description="by destination: begun or ended, whichever was told last")


class Deletion(SQLModel, table=True):
    """One part of a letter that retention deleted: when, by whom and by which rule. Rows are only ever added, and outlive the letter."""

    __tablename__ = "deletions"

    message_id: UUID = Field(primary_key=True)
    part: LetterPart = Field(primary_key=True, sa_type=enum_column(LetterPart))
    deleted_at: datetime
    by: str = Field(description="service, or the user who gave the command")
    rule: str = Field(description="which rule of the configuration or of the routing table, and how long it keeps")
    what: dict[str, Any] = Field(sa_type=JSON, description="how much it was: sizes in bytes, hashes and counts; no words of the letter")


class Tombstone(SQLModel, table=True):
    """All that is left of a letter whose metadata was deleted: that it was here, so that it is never fetched or delivered again."""

    __tablename__ = "tombstones"
    __table_args__ = (Index("tombstones_by_altinn2_id", "altinn2_id"),)

    message_id: UUID = Field(primary_key=True)
    kind: MessageKind = Field(sa_type=enum_column(MessageKind))
    mailbox: str
    party: str
    service: str
    resource: str
    external_id: str
    altinn2_id: int | None = Field(default=None, sa_type=BigInteger)
    deleted_at: datetime


class LegalHold(SQLModel, table=True):
    """While one is in force, retention deletes nothing of the letter."""

    __tablename__ = "legal_holds"

    id: int | None = Field(default=None, primary_key=True)
    message_id: UUID = Field(foreign_key="messages.id", index=True)
    begun_at: datetime
    begun_by: str = Field(description="the user who gave the command")
    reason: str = ""
    ended_at: datetime | None = Field(default=None, description="None while it is in force")
    ended_by: str | None = None
