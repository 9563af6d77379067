"""Edits of the routing table that are not published yet, one for each user."""

from __future__ import annotations

from datetime import datetime

from daemon.core.edits import RoutingDraft
from daemon.store.database import Database


class Drafts:
    """Each user's draft. They survive a restart, and a publication by somebody else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, user: str) -> RoutingDraft | None:
        """Return the user's draft, or None."""
        return self._database.find(RoutingDraft, user)

    def put(self, user: str, *, base: str, text: str, now: datetime) -> None:
        """Keep a draft instead of the user's earlier one, durably."""
        with self._database.write() as session:
            session.merge(RoutingDraft(user=user, base=base, text=text, saved_at=now))

    def remove(self, user: str) -> None:
        """Forget the user's draft, if there is one."""
        with self._database.write() as session:
            if found := session.get(RoutingDraft, user):
                session.delete(found)
