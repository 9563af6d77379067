"""The supervisor: runs the app's parts as threads until the service is stopped.

There is one thread for each mailbox, one for the outbox, one that watches for edits, one that other
processes wake, one for pickups, one for alerts, one for canaries, one for housekeeping, one that
checks the lock, one for each endpoint, and a scheduler that wakes them. A thread that ends before
the service does ends the service, and one that hangs stops its watchdog pings: otherwise half a
service would look healthy and lose time.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from daemon.core.bookkeeping import EVENTS, LOCK, LOG, STALLED, WATCH
from daemon.core.errors import (
    ConfigurationError,
    DiskFull,
    PostmottakError,
    StoreBusy,
    StoreUnreachable,
)
from daemon.delivery.canary import CANARIES
from daemon.delivery.pickup import PICKUPS
from daemon.delivery.reminders import REMINDERS
from daemon.intake.mailboxes import PolledMailbox, poll_heartbeat
from daemon.intake.worker.worker_supervisor import WORKERS
from daemon.maintenance.housekeeping import HOUSEKEEPING
from daemon.monitoring.alerts import ALERTS
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import log_problems, watch_problems
from daemon.runtime import logs
from daemon.runtime.heartbeat import HEARTBEAT_INTERVAL, OUTBOX
from daemon.runtime.schedule import Scheduler, WakeEvent
from daemon.runtime.systemd import SystemdNotifier
from daemon.runtime.wake import WAKE, WakeWatch
from daemon.service.app import App
from daemon.service.bells import run_by_bell
from daemon.service.housekeeping_loop import TIDY_EVERY, run_housekeeping
from daemon.service.membership import NODE
from daemon.service.monitoring_endpoint import monitoring_server
from daemon.service.poll_loop import RECONCILE, RECONCILE_EVERY, PollLoop
from daemon.service.push import Push
from daemon.service.reload import LOOK, Reload
from daemon.service.room import Room
from daemon.service.stack import load
from daemon.service.status_line import StatusLine
from daemon.service.turn_loop import TurnLoop
from daemon.service.upkeep import release_cut_off, release_in_flight

if TYPE_CHECKING:
    from daemon.web.server import WebServer

_log = structlog.get_logger(__name__)
_LOOK_AT_OUTBOX = 60.0  # seconds; a new letter wakes it, so this is for what became due by itself
_LOOK_FOR_OTHERS = 5.0  # seconds
# seconds in which letters that come together are gathered, because each round of deliveries has a
# fixed cost
_GATHER = 0.05
_GRACE = 8.0  # seconds that work in flight gets to end when the service stops
_SELF_CHECK = 10.0  # seconds between checks of every thread, if the watchdog needs no shorter time
_LOOK_AT_LOCK = 30.0  # seconds
_AFTER_A_CUT, _WITHOUT_ROOM = 0.2, 5.0  # seconds
_REPORT_BUSY = 10.0  # seconds after which a wait for the store is logged
_CLOCK_BEAT = timedelta(seconds=30)
_CLOCK, _RELOAD = "clock", "reload"


class Supervisor:
    """Runs an app. Make a new one for each run."""

    def __init__(self, app: App, notifier: SystemdNotifier | None = None) -> None:
        self._app = app
        self._notifier = notifier or SystemdNotifier()
        self._stalled: list[str] = []
        self._stopping = threading.Event()
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        """Requests to the thread that runs. A signal handler may only put something here: an event
        that this thread waits for has a lock, and setting it in a handler waits for ever if the
        signal comes while this thread holds it.
        """
        self._failure: PostmottakError | None = None
        self._cut_off = threading.Event()
        """Set if the store stayed busy, so that what was in flight could not be recorded."""
        self._outbox_wake = WakeEvent()
        self._housekeeping_wake = WakeEvent()
        self._wakes = [WakeEvent() for _ in app.polled_mailboxes]
        self._reconcile_due = threading.Event()
        self._schedule = Scheduler()
        self._reload = Reload(
            app.files,
            app.texts,
            self._read_and_swap,
            beat=partial(app.heartbeats.beat_for_wait, _RELOAD, LOOK),
        )
        if app.workers:
            app.workers.on_released = self._outbox_wake.wake_up
        database = app.configuration().store.beside
        self._wake = WakeWatch(database, self._woken, app.heartbeats)
        self._status = StatusLine(self._notifier, self._parts)
        self._alerter = app.alerter(self._reload.current_faults)
        self._alerter.on_health = self._status.show_health
        self._room = Room(app.problems)
        self._monitoring = monitoring_server(app, self._reload.current_faults, self._alerter.shared)
        self._pickups = app.pickup_watch()
        self._push = Push(app, self._wakes)
        app.problems.follow(LOG, lambda: log_problems(logs.problem()))
        app.problems.follow(
            WATCH,
            lambda: watch_problems(
                self._reload.unwatched or self._wake.unwatched or self._pickups.unwatched
            ),
        )

    def stop(self) -> None:
        """Ask the service to end.

        Returns at once, may be called from a signal handler, and more than once.
        """
        self._asked.put(self._stopping.set)

    def reload(self) -> None:
        """Ask for the configuration to be read again.

        Returns at once, and may be called from a signal handler.
        """
        self._asked.put(self._reload.ask)

    def run(self) -> bool:
        """Work until `stop` is called.

        Waits while another program has the store locked. Returns whether all work in flight has
        ended; what has not is repeated at the next start. Raises StoreError if the store fails.
        """
        self._app.store.wait_until(self._stopping, self._store_is_busy)
        threads = self._threads()
        self._schedule.every(RECONCILE_EVERY, RECONCILE, self._reconcile_due.set)
        self._schedule.every(TIDY_EVERY, HOUSEKEEPING, self._housekeeping_wake.wake_up)
        self._schedule.every(_CLOCK_BEAT, _CLOCK, self._tick)
        self._tick()
        for thread in threads:
            self._app.heartbeats.beat(thread.name)
        self._schedule.start()
        _log.info(
            "service started",
            mailboxes=len(self._app.polled_mailboxes),
            destinations=len(self._app.destinations),
        )
        for thread in threads:
            thread.start()
        self._notifier.ready(str(self._status))
        self._watch()
        self._notifier.stopping()
        return self._shut_down(threads)

    def _store_is_busy(self, step: float, total: float) -> None:
        """Excuse the wait: no thread hangs that waits for the store, or for one that does."""
        self._app.heartbeats.excuse(step)
        if total - step < _REPORT_BUSY <= total:
            _log.warning("the database is busy or away, and is waited for", seconds=round(total))

    def _tick(self) -> None:
        """Send the scheduler's heartbeat; the next is due after `_CLOCK_BEAT` or a little later."""
        self._app.heartbeats.beat_for_wait(_CLOCK, 2 * _CLOCK_BEAT.total_seconds())

    def _threads(self) -> list[threading.Thread]:
        """Return every thread of the service, not started yet, named as its heartbeat is."""
        threads = [
            self._thread(OUTBOX, self._dispatch_loop),
            self._thread(_RELOAD, self._reload.loop, self._stopping),
            self._thread(WAKE, self._wake.loop, self._stopping),
            self._thread(PICKUPS, self._pickups.loop, self._stopping),
            self._thread(ALERTS, self._alerter.loop, self._stopping),
            self._thread(REMINDERS, self._app.reminders.loop, self._stopping),
            self._thread(CANARIES, self._app.canaries.loop, self._stopping),
            self._thread(
                HOUSEKEEPING,
                run_housekeeping,
                self._app,
                self._room,
                self._housekeeping_wake,
                self._stopping,
            ),
            self._thread(LOCK, self._lock_loop),
        ]
        if node := self._app.membership:
            node.on_released = self._outbox_wake.wake_up
            beat = partial(self._app.heartbeats.beat_for_wait, NODE, HEARTBEAT_INTERVAL)
            threads.append(self._thread(NODE, node.watch, self._stopping, beat))
        if workers := self._app.workers:
            beat = partial(self._app.heartbeats.beat, WORKERS)
            threads.append(self._thread(WORKERS, workers.loop, self._stopping, beat))
        for box, wake in zip(self._app.polled_mailboxes, self._wakes, strict=True):
            name = poll_heartbeat(box.mailbox.name)
            threads.append(self._thread(name, self._poll_loop, box, wake))
        if self._push.server:
            threads.append(self._thread(EVENTS, self._push.loop, self._stopping))
        for server in self._servers():
            beat = partial(self._app.heartbeats.beat_for_wait, server.what, HEARTBEAT_INTERVAL)
            threads.append(self._thread(server.what, server.loop, self._stopping, beat))
        return threads

    def _watch(self) -> None:
        """Carry out requests and ping the watchdog, until the service is stopped."""
        every = min(self._notifier.watchdog_every or _SELF_CHECK, _SELF_CHECK)
        while not self._stopping.is_set():
            self._feed_watchdog()
            self._schedule.follow_clock()
            # so that a clock that is wrong for a few seconds only is in the log as well
            self._app.clock.problems()
            with suppress(queue.Empty):
                self._asked.get(timeout=every)()

    def _feed_watchdog(self) -> None:
        """Ping the watchdog, but only while no thread's heartbeat is overdue."""
        stalled = self._app.heartbeats.stalled()
        if not stalled:
            self._notifier.watchdog()
            self._app.problems.end(STALLED, "")
        elif stalled != self._stalled:
            _log.error("a thread hangs, so that the service gives no sign of life", threads=stalled)
            text = f"hangs: {', '.join(stalled)}"
            self._notifier.status(text)
            text = f"A part of the service {text}; it is restarted if that lasts, see its log"
            self._app.problems.begin(Problem(kind=STALLED, about="", text=text))
        self._stalled = stalled

    def _parts(self) -> str:
        mailboxes = _counted(len(self._app.polled_mailboxes), "mailbox", "mailboxes")
        return f"{mailboxes}, {_counted(len(self._app.destinations), 'destination')}"

    def _thread(self, name: str, loop: Callable[..., None], *arguments: object) -> threading.Thread:
        return threading.Thread(target=self._guard, args=(loop, *arguments), name=name, daemon=True)

    def _guard(self, loop: Callable[..., None], *arguments: object) -> None:
        try:
            while self._is_cut_off(loop, *arguments):
                pass
        except PostmottakError as error:
            if isinstance(error, StoreBusy | StoreUnreachable) and self._stopping.is_set():
                self._cut_off.set()
            else:
                self._failure = error
        # whatever it is, the service must not go on without this thread
        except Exception as fault:  # noqa: BLE001
            _log.exception("a thread of the service failed")
            self._failure = PostmottakError(
                f"a thread of the service failed: {type(fault).__name__}; see the log"
            )
        finally:
            self.stop()

    def _is_cut_off(self, loop: Callable[..., None], *arguments: object) -> bool:
        """Run a loop; return whether it is to begin again, as the database went away or was full.

        It was in the middle of something then, which was undone. What begins after that waits for
        the database.
        """
        try:
            loop(*arguments)
        except (StoreUnreachable, DiskFull) as error:
            if self._stopping.is_set():
                raise
            is_full = isinstance(error, DiskFull)
            what = "the disk is full" if is_full else "the database went away"
            _log.warning(
                f"{what}, and is waited for",
                part=threading.current_thread().name,
                reason=str(error),
            )
            self._stopping.wait(_WITHOUT_ROOM if is_full else _AFTER_A_CUT)
            return True
        return False

    def _shut_down(self, threads: list[threading.Thread]) -> bool:
        self._schedule.stop()
        for watch in (self._reload, self._wake, self._pickups):
            watch.wake()
        for server in self._servers():
            server.stop()
        for wake in (self._outbox_wake, self._housekeeping_wake, *self._wakes):
            wake.wake_up()
        if self._app.membership:
            self._app.membership.silent_wake.set()
        if self._app.workers:
            self._app.workers.wake()
        ends = time.monotonic() + _GRACE
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        ended = not any(thread.is_alive() for thread in threads)
        if self._app.workers:
            self._app.workers.close()
        if (self._cut_off.is_set() or not ended) and not self._failure:
            release_cut_off(self._app.store, self._app.clock)
        _log.info("service stopped", everything_ended=ended)
        if self._failure:
            raise self._failure
        return ended

    def _servers(self) -> list[WebServer]:
        return [server for server in (self._app.web, self._monitoring, self._push.server) if server]

    def _read_and_swap(self) -> None:
        self._notifier.reloading()
        standing = ""
        try:
            self._app.swap(load(self._app.files()[0]))
        except ConfigurationError as error:
            standing = f"an edit was ignored because it has errors: {error.faults[0]}"
            raise
        finally:
            self._notifier.ready(standing or str(self._status))
            self._alerter.changed.set()
        self._outbox_wake.wake_up()

    def _poll_loop(self, box: PolledMailbox, wake: WakeEvent) -> None:
        """Fetch the letters of a mailbox as it is told of them, or by polling it."""
        stored, changed = self._outbox_wake.wake_up, self._alerter.changed.set
        parts = self._room, self._status, self._stopping, stored, changed, wake
        if not run_by_bell(self._app, box, *parts):
            self._polls(box, wake).run()

    def _polls(self, box: PolledMailbox, wake: WakeEvent) -> PollLoop:
        loop = TurnLoop if self._app.membership else PollLoop
        return loop(
            app=self._app,
            box=box,
            room=self._room,
            status=self._status,
            schedule=self._schedule,
            stopping=self._stopping,
            stored=self._outbox_wake.wake_up,
            changed=self._alerter.changed.set,
            wake=wake,
            reconcile_due=self._reconcile_due,
        )

    def _dispatch_loop(self) -> None:
        if self._app.membership:
            release_in_flight(self._app.store, self._app.clock, self._app.role.owner)
        while not self._stopping.is_set():
            longest = self._deliver()
            self._app.heartbeats.beat_for_wait(OUTBOX, longest)
            self._wait_for_work(longest)
            self._stopping.wait(_GATHER)

    def _wait_for_work(self, longest: float) -> None:
        """Wait until something is to be delivered; other nodes store letters without a word."""
        ends = time.monotonic() + longest
        while (left := ends - time.monotonic()) > 0:
            step = min(left, _LOOK_FOR_OTHERS) if self._app.membership else left
            if self._outbox_wake.wait(step) or self._stopping.is_set() or step == left:
                return
            ends = min(ends, time.monotonic() + self._until_due())

    def _woken(self) -> None:
        """Begin what a command or the page has asked for."""
        self._app.deliver_now()
        self._outbox_wake.wake_up()
        self._reload.wake()

    def _deliver(self) -> float:
        """Deliver what is due. Returns after how many seconds to check again.

        On a full disk no outcome can be recorded, so nothing is begun.
        """
        try:
            outcomes, _ = self._app.deliver_due(self._stopping)
            self._room.found("delivered", certain=bool(outcomes))
            return self._until_due()
        except DiskFull as error:
            self._room.lacks("delivered", error)
            return _LOOK_AT_OUTBOX

    def _lock_loop(self) -> None:
        while not self._stopping.is_set():
            self._app.check_lock()
            self._app.heartbeats.beat_for_wait(LOCK, _LOOK_AT_LOCK)
            self._stopping.wait(_LOOK_AT_LOCK)

    def _until_due(self) -> float:
        due_at = self._app.next_due()
        seconds = (due_at - self._app.clock()).total_seconds() if due_at else _LOOK_AT_OUTBOX
        return min(max(seconds, 0.1), _LOOK_AT_OUTBOX)


def _counted(count: int, what: str, several: str = "") -> str:
    return f"{count} {what if count == 1 else several or what + 's'}"
