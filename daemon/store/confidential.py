"""Confidential letters that are stored, without their titles, by an index of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy import select as sql_select
from sqlmodel import col

from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.model import DecisionRow, Message
from daemon.store.database import Database, table_of
from daemon.store.search import newest_decision

_ONLY = f"confidential OR service = '{CONFIDENTIAL_POST.code}'"
"""A letter of confidential post is confidential, whatever its mark says."""
Index("messages_confidential", table_of(Message).c.fetched_at, sqlite_where=text(_ONLY))


@dataclass(frozen=True, kw_only=True)
class ConfidentialLetter:
    """What may be shown of a confidential letter before somebody opens it."""

    id: UUID
    fetched_at: datetime
    party: str
    service: str
    sender_org: str | None
    sender_name: str
    recipients: list[str]


_OF_LETTER = ("id", "fetched_at", "party", "service", "sender_org", "sender_name")


class ConfidentialLetters:
    """Stored confidential letters. Read-only; may be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, limit: int) -> list[ConfidentialLetter]:
        """Return the letters that came last. Other letters cost nothing."""
        wanted = (
            sql_select(
                *(getattr(Message, name) for name in _OF_LETTER), col(DecisionRow.recipients)
            )
            .join(DecisionRow, newest_decision())
            .where(text(f"({_ONLY})"))
            .order_by(col(Message.fetched_at).desc())
            .limit(limit)
        )
        with self._database.read_one() as connection:
            # public in spite of its name
            rows = [row._mapping for row in connection.execute(wanted)]  # noqa: SLF001
        return [ConfidentialLetter(**row) for row in rows]
