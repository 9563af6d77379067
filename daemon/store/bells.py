"""How each mailbox's bell is used, and what was read without a list because of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select

from daemon.core.bookkeeping import BellRecord, Bookmark
from daemon.store.database import Database

_MANY = 500  # SQLite takes a limited number of values in one statement


class Bells:
    """Records of bells."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, mailbox: str) -> BellRecord:
        """Return the mailbox's record; an empty one if its bell was never asked."""
        with self._database.read() as session:
            return session.get(BellRecord, mailbox) or BellRecord(mailbox=mailbox)

    def all(self) -> list[BellRecord]:
        """Return every record, by mailbox."""
        wanted = select(BellRecord).order_by(col(BellRecord.mailbox))
        with self._database.read() as session:
            return list(session.exec(wanted))

    def save(self, record: BellRecord) -> None:
        """Save the record."""
        with self._database.write() as session:
            session.merge(BellRecord(**record.model_dump()))

    def heard(self, mailbox: str, parties: Collection[str], now: datetime) -> None:
        """Record that these parties' channels were read: the bell said that nothing is new there.

        Channels that were never listed completely, or whose last listing failed, stay as they are.
        """
        left = sorted(parties)
        with self._database.write() as session:
            while some := left[:_MANY]:
                del left[:_MANY]
                session.execute(
                    update(Bookmark)
                    .where(
                        col(Bookmark.mailbox) == mailbox,
                        col(Bookmark.party).in_(some),
                        col(Bookmark.begun).is_(True),
                        col(Bookmark.refused).is_(False),
                        col(Bookmark.failing_since).is_(None),
                        col(Bookmark.retired_at).is_(None),
                    )
                    .values(succeeded_at=now)
                )
