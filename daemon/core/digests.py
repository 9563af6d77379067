"""Records of digests: the mails about all that waits for a person, once on each working day."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid5

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

_NAMESPACE = UUID("0c0f6d1b-3a52-5f7e-9d44-5b7c0e2a91d3")


class DigestRound(SQLModel, table=True):
    """The digests of a day and time have been planned, so a letter that comes later waits."""

    __tablename__ = "digest_rounds"

    day: date = Field(primary_key=True, description="in Norway")
    at: str = Field(primary_key=True, description="the time of day, such as `07:30`")


class Digest(SQLModel, table=True):
    """One person is told once what waits for them. Rows are stored before anything is sent."""

    __tablename__ = "digests"

    id: UUID = Field(primary_key=True, description="the mail's Message-ID has it")
    day: date = Field(index=True)
    at: str = Field(description="the time of day for which it was planned")
    address: str = Field(description="the person's e-mail address")
    letters: list[str] = Field(sa_type=JSON, description="ids of the letters that waited then")
    planned_at: datetime
    told_at: datetime | None = None
    try_at: datetime | None = Field(
        default=None, index=True, description="None if it is told or dropped"
    )
    attempts: int = 0
    last_error: str | None = None


def digest_id(day: date, at: str, address: str) -> UUID:
    """Return the id of a person's digest, which is the same whenever it is planned again."""
    return uuid5(_NAMESPACE, f"{day.isoformat()} {at} {address.lower()}")
