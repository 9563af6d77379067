"""Tells somebody of what is wrong, once, and once when it is over.

State is in the store, so a restart tells nothing twice. A destination that cannot be told is tried
again, ever more seldom, and disturbs nothing; the log and `status` say it all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import structlog

from daemon.core.bookkeeping import COLLISION, Alert
from daemon.core.errors import DeliveryFailure, DiskFull, Fault
from daemon.core.ports import Destination, Notification, Notifies
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.monitoring.problems import Problem, find_problems
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store

_log = structlog.get_logger(__name__)
_NAMESPACE = UUID("0a7c2f8b-3f7a-5c4e-9d0c-52e3b2a7c9d1")
_LOOK = 30.0  # seconds
_GLANCE = 5.0  # seconds between looks at the clock
ALERTS = "alerts"  # whose signs of life come from here
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=30)
_WITHOUT_END = frozenset({"rejected", COLLISION})
"""Kinds that happen and do not pass, so that their end is nothing to tell."""


class AlertNotifier:
    """Looks for trouble, and tells it. For one thread.

    `configuration`, `destinations`, `faults` and what the service itself has `noticed` are asked
    again at each look; `steady` is a clock that is never set, for waits.
    """

    def __init__(
        self,
        *,
        store: Store,
        active: ActiveSnapshot,
        faults: Callable[[], Sequence[Fault]],
        clock: Callable[[], datetime],
        heartbeats: Heartbeats,
        noticed: Callable[[], Sequence[Problem]] = tuple,
        steady: Callable[[], datetime] | None = None,
    ) -> None:
        self._store, self._clock, self._pulses = store, clock, heartbeats
        self._steady = steady or clock
        self._active, self._faults = active, faults
        self._noticed = noticed
        self._waits: dict[str, tuple[datetime, timedelta]] = {}

    def loop(self, stopping: threading.Event) -> None:
        """Look until `stopping` is set; a full disk is waited out. Raises StoreError."""
        while not stopping.is_set():
            try:
                self.look()
            except DiskFull as error:
                _log.error("no alert can be kept until there is room", reason=str(error))
            self._pulses.beat_for_wait(ALERTS, _LOOK)
            self._rest(stopping)

    def _rest(self, stopping: threading.Event) -> None:
        """Until the next look.

        What the service notices, such as a wrong clock, is noted sooner, for that can be over soon.
        """
        before, ends = self._noticed_keys(), time.monotonic() + _LOOK
        while time.monotonic() < ends and self._noticed_keys() == before:
            if stopping.wait(_GLANCE):
                return

    def _noticed_keys(self) -> set[str]:
        return {each.key for each in self._noticed()}

    def look(self) -> None:
        """Note what is wrong now, and tell what is to be told. Raises StoreError."""
        with self._active.use() as snapshot:
            self._look(snapshot)

    def _look(self, snapshot: Snapshot) -> None:
        self._pulses.beat(ALERTS)
        now, configuration = self._clock(), snapshot.configuration
        before = {each.key for each in self._store.alerts.all() if not each.ended_at}
        problems = find_problems(configuration, self._store, now, self._faults(), self._noticed())
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
            self._tell_all(alert, snapshot)

    def _tell_all(self, alert: Alert, snapshot: Snapshot) -> None:
        left = [
            name
            for name in snapshot.configuration.alerts.to
            if _is_due(alert, name) and not self._tell(alert, name, snapshot.destinations.get(name))
        ]
        if alert.ended_at and not left:
            self._store.alerts.forget(alert)

    def _tell(self, alert: Alert, name: str, destination: Destination | None) -> bool:
        """Whether it is told now."""
        now = self._steady()
        until, wait = self._waits.get(name, (now, _FIRST_WAIT))
        if not isinstance(destination, Notifies) or now < until:
            return False
        self._pulses.beat(ALERTS)
        try:
            destination.notify(_notification(alert))
        except DeliveryFailure as failure:
            return self._put_off(name, now, wait, str(failure))
        # a fault of one connector must not stop the service
        except Exception as fault:  # noqa: BLE001
            _log.exception("the connector failed unexpectedly", destination=name)
            return self._put_off(
                name, now, wait, f"unexpected {type(fault).__name__} in the connector"
            )
        self._waits.pop(name, None)
        self._store.alerts.told(alert, name, _phase(alert))
        _log.info("alert told", kind=alert.kind, destination=name, ended=bool(alert.ended_at))
        return True

    def _put_off(self, name: str, now: datetime, wait: timedelta, reason: str) -> bool:
        self._waits[name] = (now + wait, min(2 * wait, _LONGEST_WAIT))
        _log.warning(
            "nobody could be told of an alert; it is tried again", destination=name, reason=reason
        )
        return False


def _phase(alert: Alert) -> str:
    return "ended" if alert.ended_at else "begun"


def _is_due(alert: Alert, name: str) -> bool:
    """Whether this destination is to be told.

    Who was not told of the beginning is not told of the end.
    """
    told = alert.told.get(name)
    if alert.ended_at:
        return told == "begun" and alert.kind not in _WITHOUT_END
    return told is None


def _notification(alert: Alert) -> Notification:
    at = alert.ended_at or alert.began_at
    over = "It is over. What was wrong: " if alert.ended_at else ""
    return Notification(
        id=uuid5(_NAMESPACE, f"{alert.key} {alert.began_at.isoformat()} {_phase(alert)}"),
        kind=alert.kind,
        ended=bool(alert.ended_at),
        critical=alert.critical,
        subject=f"Postmottak: {'over: ' if alert.ended_at else ''}{alert.key}",
        text=f"{over}{alert.text}",
        at=at,
    )
