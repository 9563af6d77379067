"""Notifies of each problem once when it begins, and once when it is over.

State is in the store, so a restart repeats no notification. A destination that cannot be reached is
tried again at growing intervals and holds up nothing; the log and `status` show the problem anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid5

import structlog

from daemon.core.backoff import Backoff
from daemon.core.bookkeeping import COLLISION, Alert
from daemon.core.connector_calls import call_connector
from daemon.core.errors import DiskFull, Fault, PostmottakError
from daemon.core.ports import Destination, Notification, Notifies
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.monitoring.problems import find_problems
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store

_log = structlog.get_logger(__name__)
_NAMESPACE = UUID("0a7c2f8b-3f7a-5c4e-9d0c-52e3b2a7c9d1")
_LOOK = 30.0  # seconds
_GLANCE = 5.0  # seconds between looks at the clock
ALERTS = "alerts"  # the name under which this sends heartbeats
_BACKOFF = Backoff(timedelta(minutes=1), timedelta(minutes=30))
_WITHOUT_END = frozenset({"rejected", COLLISION})
"""Kinds that happen once and do not pass, so there is no end to notify of."""


class AlertNotifier:
    """Looks for problems and notifies of them. For one thread.

    `configuration`, `destinations`, `faults` and `service_problems` are read again at each look;
    `steady` is a clock that is never set, for waits.
    """

    def __init__(
        self,
        *,
        store: Store,
        active: ActiveSnapshot,
        faults: Callable[[], Sequence[Fault]],
        clock: Callable[[], datetime],
        heartbeats: Heartbeats,
        service_problems: ServiceProblems | None = None,
        steady: Callable[[], datetime] | None = None,
    ) -> None:
        self._store, self._clock, self._heartbeats = store, clock, heartbeats
        self._steady = steady or clock
        self._active, self._faults = active, faults
        self._service_problems = service_problems or ServiceProblems()
        self._waits: dict[str, tuple[datetime, int]] = {}
        """By destination: when it may be tried again, and how often it has failed in a row."""

    def loop(self, stopping: threading.Event) -> None:
        """Look until `stopping` is set. A full disk is waited out. Raises StoreError."""
        while not stopping.is_set():
            try:
                self.look()
            except DiskFull as error:
                _log.error("no alert can be kept until there is room", reason=str(error))
            self._heartbeats.beat_for_wait(ALERTS, _LOOK)
            self._rest(stopping)

    def _rest(self, stopping: threading.Event) -> None:
        """Wait until the next look.

        A new problem of the service itself, such as a wrong clock, ends the wait: it may be over
        soon.
        """
        before, ends = self._keys_of_service(), time.monotonic() + _LOOK
        while time.monotonic() < ends and self._keys_of_service() == before:
            if stopping.wait(_GLANCE):
                return

    def _keys_of_service(self) -> set[str]:
        return {each.key for each in self._service_problems.all()}

    def look(self) -> None:
        """Store what is wrong now, and send the notifications that are due. Raises StoreError."""
        with self._active.use() as snapshot:
            self._run(snapshot)

    def _run(self, snapshot: Snapshot) -> None:
        self._heartbeats.beat(ALERTS)
        now, configuration = self._clock(), snapshot.configuration
        before = {each.key for each in self._store.alerts.all() if not each.ended_at}
        problems = find_problems(
            configuration, self._store, now, self._faults(), self._service_problems.all()
        )
        current = [
            Alert(
                key=each.key, kind=each.kind, critical=each.critical, text=each.text, began_at=now
            )
            for each in problems
        ]
        self._store.alerts.note(current, now)
        for alert in current:
            if alert.key not in before:
                _log.error("alert", kind=alert.kind, about=alert.key, text=alert.text)
        for alert in self._store.alerts.all():
            self._notify_all(alert, snapshot)

    def _notify_all(self, alert: Alert, snapshot: Snapshot) -> None:
        left = [
            name
            for name in snapshot.configuration.alerts.to
            if _is_due(alert, name)
            and not self._notify(alert, name, snapshot.destinations.get(name))
        ]
        if alert.ended_at and not left:
            self._store.alerts.forget(alert)

    def _notify(self, alert: Alert, name: str, destination: Destination | None) -> bool:
        """Send the notification if the destination may be tried now. Returns whether it was."""
        now = self._steady()
        until, failures = self._waits.get(name, (now, 0))
        if not isinstance(destination, Notifies) or now < until:
            return False
        self._heartbeats.beat(ALERTS)
        failure = call_connector(
            partial(destination.notify, _notification(alert)), destination=name
        )
        if isinstance(failure, PostmottakError):
            return self._put_off(name, now, failures + 1, str(failure))
        self._waits.pop(name, None)
        self._store.alerts.told(alert, name, _phase(alert))
        _log.info("alert sent", kind=alert.kind, destination=name, ended=bool(alert.ended_at))
        return True

    def _put_off(self, name: str, now: datetime, failures: int, reason: str) -> bool:
        self._waits[name] = (now + _BACKOFF.after(failures), failures)
        _log.warning(
            "an alert could not be sent; it is tried again", destination=name, reason=reason
        )
        return False


def _phase(alert: Alert) -> str:
    return "ended" if alert.ended_at else "begun"


def _is_due(alert: Alert, name: str) -> bool:
    """Whether this destination is due a notification.

    One that never got the beginning does not get the end.
    """
    told = alert.told.get(name)
    if alert.ended_at:
        return told == "begun" and alert.kind not in _WITHOUT_END
    return told is None


def _notification(alert: Alert) -> Notification:
    at = alert.ended_at or alert.began_at
    over = "Resolved: " if alert.ended_at else ""
    return Notification(
        id=uuid5(_NAMESPACE, f"{alert.key} {alert.began_at.isoformat()} {_phase(alert)}"),
        kind=alert.kind,
        ended=bool(alert.ended_at),
        critical=alert.critical,
        subject=f"Postmottak: {'over: ' if alert.ended_at else ''}{alert.key}",
        text=f"{over}{alert.text}",
        at=at,
    )
