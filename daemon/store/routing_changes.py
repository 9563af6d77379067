"""Which routing table came into force when, by whom and why. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from daemon.core.accounts import ChangeSource, RoutingChange
from daemon.store.database import Database


class RoutingChanges:
    """The history of the routing table. The texts are in `routing_versions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        now: datetime,
        *,
        version: str,
        version_before: str | None,
        by: str,
        reason: str,
        source: ChangeSource,
        counts: Mapping[str, Any] | None = None,
    ) -> RoutingChange:
        """Record a change, durably. `counts` is JSON. Raises NotStorable."""
        change = RoutingChange(
            at=now,
            version=version,
            version_before=version_before,
            by=by,
            reason=reason,
            source=source,
            counts=dict(counts or {}),
        )
        with self._database.write() as session:
            session.add(change)
        return change

    def page(self, *, before: int | None = None, limit: int = 100) -> Sequence[RoutingChange]:
        """Return the newest changes, at most `limit`, with smaller numbers than `before`."""
        newest = select(RoutingChange).order_by(col(RoutingChange.number).desc()).limit(limit)
        if before is not None:
            newest = newest.where(col(RoutingChange.number) < before)
        return self._database.rows(newest)
