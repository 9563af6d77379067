"""Records of letters that wait for a person: until when, and who has been told of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from daemon.core.columns import enum_column

_NAMESPACE = UUID("6b1f4f6e-2f0c-5b53-8f0e-7a4f6d0b9c21")


class LadderStep(StrEnum):
    """Who is told of a letter that nobody has acknowledged in time, in this order."""

    DEPUTY = "deputy"  # with the members, whose letter it is
    MANAGER = "manager"
    LAST_RESORT = "last-resort"
    KEEPERS = "keepers"  # of the routing table, where there is nobody else
    REJECTED = "rejected"  # likewise, because somebody rejected the letter


class AwaitedValues(SQLModel):
    """A letter that a person is to acknowledge, since one of its decisions."""

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    decision: int = Field(description="number of the decision that it waits since")
    begun_at: datetime
    within: str = Field(description="how long it may wait, such as `2wd`")
    recipients: list[str] = Field(
        sa_type=JSON, description="names of the recipients before delegation"
    )
    rejected_at: datetime | None = Field(
        default=None, description="when somebody rejected it, if that holds"
    )
    look_at: datetime | None = Field(
        default=None, index=True, description="when something may be due; None once it is answered"
    )


class AwaitedLetter(AwaitedValues, table=True):
    """A letter that waits for a person, or has waited."""

    __tablename__ = "awaited"


class Reminder(SQLModel, table=True):
    """One person is told of one letter. Rows are stored before anything is sent."""

    __tablename__ = "reminders"
    __table_args__ = (Index("reminders_by_message", "message_id", "decision"),)

    id: UUID = Field(primary_key=True)
    message_id: UUID = Field(foreign_key="messages.id")
    decision: int
    step: LadderStep = Field(sa_type=enum_column(LadderStep))
    round: int = Field(description="0 for the first time, 1 for the first repeat")
    person: str = Field(description="as the routing table has the person")
    address: str = Field(description="the e-mail address")
    mail: UUID = Field(index=True, description="reminders of one mail share it, and its Message-ID")
    planned_at: datetime
    told_at: datetime | None = None
    try_at: datetime | None = Field(
        default=None, index=True, description="None if it is told or dropped"
    )
    attempts: int = 0
    last_error: str | None = None


class LinkKey(SQLModel, table=True):
    """The key that signs the links in mails. There is one at most."""

    __tablename__ = "link_keys"

    id: int = Field(primary_key=True)
    key: bytes


def reminder_id(message: UUID, decision: int, step: LadderStep, turn: int, address: str) -> UUID:
    """Return the id of a reminder, which is the same whenever it is planned again."""
    return uuid5(_NAMESPACE, f"{message} {decision} {step} {turn} {address.lower()}")
