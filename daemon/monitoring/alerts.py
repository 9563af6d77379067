"""Notifies of each cause once when it begins, and once when it is over.

Problems with one cause share an incident, and whoever was notified of one of them is not notified
of the others, unless they are worse or concern other organisations. A problem that has grown begins
again. What concerns single letters is told together, and so is what may keep letters away.

State is in the store, so a restart repeats no notification. A destination that cannot be reached is
tried again at growing intervals and holds up nothing; the log and `status` show the problem anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from daemon.core.backoff import Backoff
from daemon.core.bookkeeping import BEGUN, ENDED, SEEN_BY_SERVICE, Alert
from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.errors import DiskFull, Fault, NotStorable, PostmottakError
from daemon.core.node_role import NodeRole
from daemon.core.nodes import Duty
from daemon.core.ports import Destination, Notifies
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.monitoring.alert_text import notification
from daemon.monitoring.awake import Awake
from daemon.monitoring.health import Health, assess
from daemon.monitoring.notified import TOGETHER, is_due, is_known
from daemon.monitoring.problem import Problem, node_of
from daemon.monitoring.service_problems import ServiceProblems
from daemon.monitoring.shared_health import SharedHealth
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store

_log = structlog.get_logger(__name__)
_LOOK = 30.0  # seconds
_GLANCE = 5.0  # seconds between looks at the clock
_SHARE = 20
"""The least pause after a look, as a multiple of its duration, where changes never cease."""
ALERTS = "alerts"  # the name under which this sends heartbeats
_BACKOFF = Backoff(timedelta(minutes=1), timedelta(minutes=30))


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
        role: NodeRole | None = None,
    ) -> None:
        self.changed = threading.Event()
        """Set where something may be wrong, or right, that was not: then the next look is soon."""
        self.on_health: Callable[[Health], None] = do_nothing
        """Called with what each look has found."""
        self.shared = SharedHealth()
        """The same, for who asks some seconds later."""
        self._store, self._clock, self._heartbeats = store, clock, heartbeats
        self._steady, self._role = steady or clock, role
        self._active, self._faults = active, faults
        self._service_problems = service_problems or ServiceProblems()
        self._waits: dict[str, tuple[datetime, int]] = {}
        """By destination: when it may be tried again, and how often it has failed in a row."""
        self._awake: Awake | None = None
        """None for one look, which comes after all else is done."""

    def begin(self) -> None:
        """Have patience with what was wrong before now: the service has only just begun."""
        self._awake = Awake(self._clock(), self._steady)

    def loop(self, stopping: threading.Event) -> None:
        """Look until `stopping` is set. A full disk is waited out.

        What the database rejects is logged. Raises StoreError.
        """
        self.begin()
        while not stopping.is_set():
            began = time.monotonic()
            try:
                self.look()
            except DiskFull as error:
                _log.error("no alert can be kept until there is room", reason=str(error))
            except NotStorable as error:
                _log.error(
                    "an alert cannot be kept as it is; report this as a fault", reason=str(error)
                )
            self._heartbeats.beat_for_wait(ALERTS, _LOOK)
            self._rest(stopping, _SHARE * (time.monotonic() - began))

    def _rest(self, stopping: threading.Event, least: float) -> None:
        """Wait until the next look.

        A new problem of the service itself, such as a wrong clock, ends the wait: it may be over
        soon. So does `changed`. Neither does before `least` seconds, for both may come and go all
        the time.
        """
        before, began = self._keys_of_service(), time.monotonic()
        while (waited := time.monotonic() - began) < _LOOK:
            is_new = self.changed.is_set() or self._keys_of_service() != before
            if (is_new and waited >= least) or stopping.wait(_GLANCE):
                return

    def _keys_of_service(self) -> set[str]:
        return {each.key for each in self._service_problems.all()}

    def look(self) -> None:
        """Store what is wrong now, and send the notifications that are due. Raises StoreError."""
        with self._active.use() as snapshot:
            self._run(snapshot)

    def _run(self, snapshot: Snapshot) -> None:
        self._heartbeats.beat(ALERTS)
        self.changed.clear()
        now = self._clock()
        of_service = self._service_problems.all()
        if self._awake:
            self._awake.look(now)
            self._awake.seen |= {each.key for each in of_service}
        health = self.shared.renew(
            partial(assess, snapshot.configuration, self._store, now, self._faults(), of_service)
        )
        self.on_health(health)
        has_duty = self._role is None or self._role.has(Duty.ALERTS)
        self._note(health, now, self._concern(all_of_store=has_duty))
        if not has_duty:
            return
        alerts = self._store.alerts.all()
        for name in snapshot.configuration.alerts.to:
            self._notify_all(alerts, name, snapshot, now)
        for alert in alerts:
            left = any(is_due(alert, name, now) for name in snapshot.configuration.alerts.to)
            if alert.ended_at and not left:
                self._store.alerts.forget(alert)

    def _concern(self, *, all_of_store: bool) -> Callable[[str], bool]:
        """Return which problems, by key, this process begins and ends.

        Each node its own; one of them also those of the store, and of nodes that are forgotten.
        """
        if self._role is None or not self._role.node:
            return lambda _: True
        mine = self._role.node
        others = {each.node.name for each in self._store.nodes.states()} - {mine}

        def concerns(key: str) -> bool:
            node = node_of(key)
            return node == mine or (all_of_store and node not in others)

        return concerns

    def _note(self, health: Health, now: datetime, concerns: Callable[[str], bool]) -> None:
        known = {
            each.key: each
            for each in self._store.alerts.all()
            if not each.ended_at and concerns(each.key)
        }
        current = {
            each.key: _alert(each, now)
            for each in health.problems
            if concerns(each.key) and each.notify and (each.key in known or self._has_lasted(each))
        }
        kept = [
            each for key, each in known.items() if key not in current and self._is_unheard(each)
        ]
        for alert in self._store.alerts.note([*current.values(), *kept], now, concerns):
            _log.error("alert", kind=alert.kind, about=alert.key, text=alert.text)

    def _has_lasted(self, problem: Problem) -> bool:
        return self._awake is None or self._awake.for_so_long >= problem.patience

    def _is_unheard(self, alert: Alert) -> bool:
        """Whether it is of the service itself, which has not yet found out whether it is over."""
        return (
            self._awake is not None
            and alert.kind in SEEN_BY_SERVICE
            and alert.key not in self._awake.seen
            and not self._awake.has_heard_all
        )

    def _notify_all(
        self, alerts: Sequence[Alert], name: str, snapshot: Snapshot, now: datetime
    ) -> None:
        """Send what one destination is due: what has begun before what is over."""
        together: dict[tuple[str, bool], list[Alert]] = {}
        by_incident: dict[str, list[Alert]] = {}
        for alert in alerts:
            if alert.incident:
                by_incident.setdefault(alert.incident, []).append(alert)
        for alert in sorted(alerts, key=lambda each: (bool(each.ended_at), not each.critical)):
            if is_due(alert, name, now):
                if is_known(alert, by_incident.get(alert.incident, ()), name):
                    self._told(alert, name)
                elif alert.kind in TOGETHER:
                    together.setdefault((alert.kind, bool(alert.ended_at)), []).append(alert)
                else:
                    self._notify([alert], name, snapshot)
        for some in together.values():
            self._notify(some, name, snapshot)

    def _notify(self, some: Sequence[Alert], name: str, snapshot: Snapshot) -> None:
        """Send one notification of them, if the destination may be tried now."""
        destination: Destination | None = snapshot.destinations.get(name)
        now = self._steady()
        until, failures = self._waits.get(name, (now, 0))
        if not isinstance(destination, Notifies) or now < until:
            return
        self._heartbeats.beat(ALERTS)
        message = notification(some, snapshot.configuration.alerts.language)
        failure = call_connector(partial(destination.notify, message), destination=name)
        if isinstance(failure, PostmottakError):
            self._put_off(name, now, failures + 1, str(failure))
            return
        self._waits.pop(name, None)
        for alert in some:
            self._told(alert, name)
        _log.info("alert sent", kind=some[0].kind, destination=name, ended=message.ended)

    def _told(self, alert: Alert, name: str) -> None:
        phase = ENDED if alert.ended_at else BEGUN
        self._store.alerts.told(alert, name, phase)
        alert.told = {**alert.told, name: phase}

    def _put_off(self, name: str, now: datetime, failures: int, reason: str) -> None:
        self._waits[name] = (now + _BACKOFF.after(failures), failures)
        _log.warning(
            "an alert could not be sent; it is tried again", destination=name, reason=reason
        )


def _alert(problem: Problem, now: datetime) -> Alert:
    return Alert(
        key=problem.key,
        kind=problem.kind,
        critical=problem.critical,
        text=problem.text,
        began_at=now,
        incident=problem.incident,
        parties=list(problem.parties),
        count=problem.count,
    )
