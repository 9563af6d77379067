"""Bytes of attachments that are removed because no letter needs them."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel


class Removal(SQLModel, table=True):
    """Bytes that are being removed, or were not long ago.

    A letter that needs them is stored only if they are there after the removal.
    """

    __tablename__ = "removals"

    sha256: str = Field(primary_key=True)
    begun_at: datetime
    ended_at: datetime | None = None
