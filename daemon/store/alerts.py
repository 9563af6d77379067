"""Alerts, stored so that the beginning and the end of each are notified once, across restarts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import col, select

from daemon.core.bookkeeping import Alert
from daemon.store.database import Database


class Alerts:
    """What is wrong, and who has been notified."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Sequence[Alert]:
        """Return every alert, including ended ones whose end has not been notified everywhere."""
        return self._database.rows(select(Alert).order_by("began_at", "key"))

    def happened(self, kind: str, since: datetime, limit: int) -> Sequence[Alert]:
        """Return alerts of one kind that began since then and have not ended, the newest first."""
        return self._database.rows(
            select(Alert)
            .where(Alert.kind == kind, Alert.began_at >= since, col(Alert.ended_at).is_(None))
            .order_by(col(Alert.began_at).desc(), col(Alert.key))
            .limit(limit)
        )

    def note(self, current: Collection[Alert], now: datetime) -> None:
        """Record what is wrong now: new alerts begin, and those that became critical begin again.

        All others end.
        """
        by_key = {each.key: each for each in current}
        known = {each.key: each for each in self.all()}
        begun = [
            each
            for key, each in by_key.items()
            if key not in known
            or known[key].ended_at
            or (each.critical and not known[key].critical)
        ]
        ended = [each for key, each in known.items() if key not in by_key and not each.ended_at]
        if not begun and not ended:
            return
        with self._database.write() as session:
            for alert in begun:
                session.merge(alert)
            for alert in ended:
                alert.ended_at = now
                session.merge(alert)

    def end(self, key: str, now: datetime) -> None:
        """End one alert, if it exists and has not ended."""
        with self._database.write() as session:
            found = session.get(Alert, key)
            if found and not found.ended_at:
                found.ended_at = now
                session.add(found)

    def told(self, alert: Alert, destination: str, what: str) -> None:
        """Record that a destination has been notified that it has `begun`, or `ended`."""
        with self._database.write() as session:
            found = session.get_one(Alert, alert.key)
            found.told = {**found.told, destination: what}
            session.add(found)

    def forget(self, alert: Alert) -> None:
        """Delete an alert of which nothing is left to notify."""
        with self._database.write() as session:
            session.delete(session.get_one(Alert, alert.key))
