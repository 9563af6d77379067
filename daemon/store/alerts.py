"""Alerts, stored so that the beginning and the end of each are notified once, across restarts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta

from sqlmodel import col, select

from daemon.core.bookkeeping import AGAIN, Alert
from daemon.core.errors import DiskFull
from daemon.store.database import Database

_GROWS_BY = 10
"""What is about so many times as much as when someone was notified is another matter."""
_AGAIN_AFTER = timedelta(hours=1)
"""How long nobody is notified that a problem has grown."""


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

    def note(
        self,
        current: Collection[Alert],
        now: datetime,
        concerns: Callable[[str], bool] = lambda _: True,
    ) -> Sequence[Alert]:
        """Record what is wrong now, and return what has begun.

        New alerts begin, and those that became critical, or are about much more, begin again. All
        others that are open end, if they have a key that `concerns` the caller. A full disk is
        borne as long as nothing begins or ends.
        """
        by_key = {each.key: each for each in current}
        known = {each.key: each for each in self.all()}
        begun, changed = list[Alert](), list[Alert]()
        for each in by_key.values():
            old = known.get(each.key)
            if old is None or old.ended_at or (each.critical and not old.critical):
                begun.append(each)
            elif _has_grown(old, each) and now - old.began_at >= _AGAIN_AFTER:
                told = dict.fromkeys(old.told, AGAIN)
                begun.append(_with(each, told=told, critical=old.critical))
            elif (goes_on := _gone_on(old, each)).model_dump() != old.model_dump():
                changed.append(goes_on)
        ended = [
            _with(each, ended_at=now)
            for key, each in known.items()
            if key not in by_key and not each.ended_at and concerns(key)
        ]
        with nullcontext() if begun or ended else suppress(DiskFull):
            self._save([*begun, *changed, *ended])
        return begun

    def _save(self, alerts: Collection[Alert]) -> None:
        if alerts:
            with self._database.write() as session:
                for alert in alerts:
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


def _has_grown(old: Alert, new: Alert) -> bool:
    """Whether it is about an organisation, or so much, of which nobody was notified."""
    if not old.count:
        return False
    return not set(new.parties) <= set(old.parties) or new.count >= _GROWS_BY * old.count


def _gone_on(old: Alert, new: Alert) -> Alert:
    """Return the alert as it is now: what it is about no more may begin again."""
    parties = [each for each in new.parties if each in set(old.parties) or not old.count]
    return _with(
        old,
        text=new.text,
        incident=old.incident if old.count else new.incident,
        parties=parties,
        count=min(old.count or new.count, new.count),
    )


def _with(alert: Alert, **changes: object) -> Alert:
    return Alert(**{**alert.model_dump(), **changes})
