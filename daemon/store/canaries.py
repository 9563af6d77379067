"""Canaries, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, delete, func
from sqlmodel import col, select

from daemon.core.canaries import Canary
from daemon.store.database import Database, table_of
from daemon.store.pages import row_number


class Canaries:
    """Canaries by destination."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, canary: Canary) -> None:
        """Save a canary, new or changed."""
        with self._database.write() as session:
            session.merge(Canary(**canary.model_dump()))

    def open(self, now: datetime) -> Sequence[Canary]:
        """Return those that are under way and may be tried or looked at now, the oldest first."""
        return self._database.rows(
            select(Canary)
            .where(col(Canary.ended_at).is_(None), Canary.try_at <= now)
            .order_by(col(Canary.begun_at))
        )

    def newest(self) -> Sequence[Canary]:
        """Return the newest canary of each destination, under way or not."""
        return self._newest(ended=False)

    def newest_ended(self) -> Sequence[Canary]:
        """Return the newest canary of each destination of which it is known what became of it."""
        return self._newest(ended=True)

    def _newest(self, *, ended: bool) -> Sequence[Canary]:
        # the one that was begun last, whatever the clock said then
        last = select(func.max(row_number(Canary)))
        if ended:
            last = last.where(col(Canary.ended_at).is_not(None))
        last = last.select_from(table_of(Canary)).group_by(col(Canary.destination))
        wanted = select(Canary).where(row_number(Canary).in_(last))
        return self._database.rows(wanted.order_by(col(Canary.destination)))

    def forget(self, before: datetime) -> int:
        """Remove canaries that began before that time and have ended, and return how many.

        The newest of each destination stay.
        """
        kept = {each.id for each in (*self.newest(), *self.newest_ended())}
        old = and_(
            col(Canary.begun_at) < before,
            col(Canary.ended_at).is_not(None),
            col(Canary.id).not_in(kept),
        )
        with self._database.write() as session:
            return int(getattr(session.execute(delete(Canary).where(old)), "rowcount", 0))
