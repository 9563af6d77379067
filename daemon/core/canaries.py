"""A canary: a letter that is none, which Postmottak sends itself to see that letters come through.

It has a table of its own, so that no count, list or search of letters can ever have it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, text
from sqlmodel import Field, SQLModel

from daemon.core.columns import enum_column


class CanaryStep(StrEnum):
    """Where a canary is, or where it stopped."""

    ROUTING = "routing"
    STORE = "store"
    DELIVERY = "delivery"
    PICKUP = "pickup"
    THROUGH = "through"


class Canary(SQLModel, table=True):
    """One canary to one destination."""

    __tablename__ = "canaries"
    __table_args__ = (
        Index("canaries_by_destination", "destination", "begun_at"),
        Index("canaries_open", "destination", sqlite_where=text("ended_at IS NULL")),
    )

    id: UUID = Field(primary_key=True, description="that of its message, which no letter has")
    destination: str
    begun_at: datetime
    by: str = Field(description="`service`, or the user who gave the command")
    step: CanaryStep = Field(sa_type=enum_column(CanaryStep))
    route: str = Field(default="", description="the route that would have decided")
    sha256: str = Field(default="", description="of its attachment, while it is stored")
    try_at: datetime = Field(description="when it may be tried or looked at next")
    give_up_at: datetime = Field(description="when its step is given up")
    delivered_at: datetime | None = None
    taken_at: datetime | None = None
    ended_at: datetime | None = Field(default=None, description="None while it is under way")
    receipt: str = ""
    evidence: dict[str, Any] | None = Field(
        default=None, sa_type=JSON, description="the destination's receipt, where it is picked up"
    )
    problem: str = Field(default="", description="why it stopped, or has not come further yet")

    @property
    def is_through(self) -> bool:
        """Whether it came through."""
        return self.step is CanaryStep.THROUGH
