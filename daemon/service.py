"""The service: the app's parts as threads, which go on until they are told to stop.

One thread for each mailbox, one for the outbox, one that watches for edits, and a clock that rings bells. A thread that ends before the
service does ends the service: half a service would look well and lose time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import groupby

import structlog

from daemon.app import App, Box, load
from daemon.errors import DiskFull, PostmottakError
from daemon.ports import Channel
from daemon.reload import Reload
from daemon.schedule import Bell, Schedule

_log = structlog.get_logger(__name__)
_LOOK_AT_OUTBOX = 60.0  # seconds; a new letter rings, so this is for what became due by itself
_GRACE = 8.0  # seconds that work in flight gets to end when the service stops
_RECONCILE_EVERY = timedelta(days=1)
_PARTIES_AT_A_TIME = 10


class Service:
    """Runs an app. Make a new one for each run."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stopping = threading.Event()
        self._failure: PostmottakError | None = None
        self._outbox_bell = Bell()
        self._bells = [Bell() for _ in app.boxes]
        self._reconcile_due = threading.Event()
        self._schedule = Schedule()
        self._reload = Reload(app.files, self._read_and_swap)

    def stop(self) -> None:
        """Ask the service to end; returns at once, may be called from a signal handler, and more than once."""
        self._stopping.set()

    def reload(self) -> None:
        """Ask for the configuration to be read anew; returns at once, and may be called from a signal handler."""
        self._reload.ask()

    def run(self) -> bool:
        """Work until `stop` is called. Returns whether all work in flight has ended; what has not is repeated at the next start.

        Raises StoreError if the store fails.
        """
        threads = [self._thread("outbox", self._dispatch_loop), self._thread("reload", self._reload.loop, self._stopping)]
        for box, bell in zip(self._app.boxes, self._bells, strict=True):
            threads.append(self._thread(f"poll {box.mailbox.name}", self._poll_loop, box, bell))
        if self._app.web:
            threads.append(self._thread("pull API", self._app.web.loop, self._stopping))
        self._schedule.every(_RECONCILE_EVERY, "reconcile", self._reconcile_due.set)
        self._schedule.start()
        for thread in threads:
            thread.start()
        _log.info("service started", mailboxes=len(self._app.boxes), destinations=len(self._app.destinations))
        self._stopping.wait()
        return self._wind_down(threads)

    def _thread(self, name: str, loop: Callable[..., None], *arguments: object) -> threading.Thread:
        return threading.Thread(target=self._guard, args=(loop, *arguments), name=name, daemon=True)

    def _guard(self, loop: Callable[..., None], *arguments: object) -> None:
        try:
            loop(*arguments)
        except PostmottakError as error:
            self._failure = error
        except Exception as fault:  # noqa: BLE001  # whatever it is, the service must not go on without this thread
            _log.exception("a thread of the service failed")
            self._failure = PostmottakError(f"a thread of the service failed: {type(fault).__name__}; see the log")
        finally:
            self._stopping.set()

    def _wind_down(self, threads: list[threading.Thread]) -> bool:
        self._schedule.stop()
        self._reload.wake()
        if self._app.web:
            self._app.web.stop()
        for bell in (self._outbox_bell, *self._bells):
            bell.ring()
        ends = self._app.clock() + timedelta(seconds=_GRACE)
        for thread in threads:
            thread.join(max(0.0, (ends - self._app.clock()).total_seconds()))
        ended = not any(thread.is_alive() for thread in threads)
        _log.info("service stopped", everything_ended=ended)
        if self._failure:
            raise self._failure
        return ended

    def _read_and_swap(self) -> None:
        self._app.swap(load(self._app.files()[0]))
        self._outbox_bell.ring()

    def _poll_loop(self, box: Box, bell: Bell) -> None:
        """Poll again and again, some parties at a time, so that the calls are spread over the interval."""
        name = f"poll {box.mailbox.name}"
        groups = _groups(box.mailbox.channels())
        self._schedule.every(box.poll_every / len(groups), name, bell.ring)
        while not self._stopping.is_set():
            for group in groups:
                self._poll(box, group)
                if self._stopping.is_set():
                    return
                self._outbox_bell.ring()
                bell.wait(2 * box.poll_every.total_seconds() / len(groups))
            if self._reconcile_due.is_set():
                self._reconcile_due.clear()
                self._reconcile()

    def _poll(self, box: Box, channels: Sequence[Channel]) -> None:
        try:
            summary = self._app.intake.poll(box.mailbox, box.policies, self._stopping, channels)
        except DiskFull as error:
            _log.error("nothing is fetched until there is room", reason=str(error))
            return
        _log.info(
            "polled",
            mailbox=box.mailbox.name,
            channels=len(channels),
            listed=summary.listed,
            stored=summary.stored,
            problems=len(summary.problems),
        )

    def _reconcile(self) -> None:
        try:
            self._app.reconcile(self._stopping)
        except DiskFull as error:
            _log.error("nothing is fetched until there is room", reason=str(error))

    def _dispatch_loop(self) -> None:
        while not self._stopping.is_set():
            self._outbox_bell.wait(self._deliver())

    def _deliver(self) -> float:
        """Deliver what is due; after how many seconds to look again. On a full disk no outcome can be kept, so nothing is begun."""
        try:
            self._app.deliver_due(self._stopping)
            return self._until_due()
        except DiskFull as error:
            _log.error("nothing is delivered until there is room", reason=str(error))
            return _LOOK_AT_OUTBOX

    def _until_due(self) -> float:
        due_at = self._app.next_due()
        seconds = (due_at - self._app.clock()).total_seconds() if due_at else _LOOK_AT_OUTBOX
        return min(max(seconds, 0.1), _LOOK_AT_OUTBOX)


def _groups(channels: Sequence[Channel]) -> list[list[Channel]]:
    """The channels in groups of some parties each; one empty group if there are none."""
    parties = [list(of_party) for _, of_party in groupby(channels, key=lambda channel: channel.party)]
    starts = range(0, max(len(parties), 1), _PARTIES_AT_A_TIME)
    return [[channel for party in parties[start : start + _PARTIES_AT_A_TIME] for channel in party] for start in starts]
