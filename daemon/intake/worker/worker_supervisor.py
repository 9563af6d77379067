"""Keeps worker processes at work: replaces those that end, and ends those that hang.

They are forked when there is work for them, and end when there has been none for a while. What a
worker had claimed when it ended is released, with a crash on record for each delivery; what others
have in hand is not touched. A worker that keeps ending is replaced at longer and longer intervals.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Protocol

import structlog

from daemon.core.backoff import Backoff
from daemon.core.callbacks import do_nothing
from daemon.core.errors import DiskFull, StoreUnreachable, WorkerLost
from daemon.core.pacing import PaceNumbers, added_up
from daemon.intake.worker.messages import TimeNow
from daemon.intake.worker.worker_client import WorkerClient
from daemon.runtime.fork_server import LOST, Forked
from daemon.runtime.heartbeat import WORKER_TIMEOUT
from daemon.runtime.process import process_name
from daemon.runtime.process_usage import ProcessUsage

_log = structlog.get_logger(__name__)
_LOOK = 1.0  # seconds between looks at the workers
_PING = 10.0  # seconds between pings
CLOCK_HEARD_AFTER = timedelta(seconds=5)
"""How soon workers have the right time after a correction of the clock."""
_SET = timedelta(minutes=1)  # a line that has moved by more is another one
_IDLE = 600.0
"""Seconds without work after which a worker ends: most organisations get a few letters a day."""
_PATIENCE = 2.0  # seconds for workers to end; the fork server kills what is left
_SOON = 3
"""Workers that may end in a row, without one that has stored anything, and be replaced at once."""
_NOTHING = {"resident_bytes": 0, "virtual_bytes": 0, "open_files": 0}
WORKERS = "workers"  # the name of its heartbeat


def slot_of(name: str) -> int:
    """Return which of the workers it is, from 0, by its name; a replacement has the same slot."""
    return int(name.rpartition(".")[2])


class ForksWorkers(Protocol):
    """A fork server."""

    def fork(self, name: str) -> Forked:
        """Fork a worker. Raises OSError and WorkerLost."""

    def kill(self, pid: int) -> None:
        """Kill one. Raises WorkerLost."""

    def has_ended(self) -> bool:
        """Whether no more can be forked."""


class ReleasesWork(Protocol):
    """Releases what a worker that has ended had in hand."""

    def __call__(self, worker: WorkerClient, *, stopped: bool) -> None:
        """Release its claims; if it was `stopped` on purpose, that counts as no crash.

        Raises StoreError.
        """


class WorkerSupervisor:
    """The workers. Methods may be called from any thread."""

    def __init__(
        self,
        server: ForksWorkers,
        number: int,
        *,
        time_now: Callable[[], TimeNow],
        release: ReleasesWork,
        backoff: Backoff,
        on_trouble: Callable[[bool], None] = do_nothing,
        owner: str = "",
    ) -> None:
        """Keep the parts; there are at most `number` workers, whose names begin with `owner`.

        `on_trouble` is called with whether workers keep ending.
        """
        self.number = number
        self._owner = owner or process_name()
        self._wanted = 0
        """How many there should be."""
        self._server, self._time_now, self._release = server, time_now, release
        self._backoff, self._on_trouble = backoff, on_trouble
        self.on_released: Callable[[], None] = do_nothing
        """Called when deliveries of a worker that has ended are due again."""
        self._serials = count(1)
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._workers: list[WorkerClient] = []
        self._exclusive: WorkerClient | None = None
        """A worker that gets, or has, one chunk and nothing else."""
        self._ended: list[WorkerClient] = []
        """Those whose claims are not released yet."""
        self._in_a_row = 0
        """Workers that have ended since one has stored something."""
        self._next_fork = self._next_ping = 0.0
        self._said = time_now()
        """The time last sent to the workers."""
        self._past_seconds = 0.0
        """Processor time of those that have ended."""
        self._past_paces: list[PaceNumbers] = []
        self._last_usage: ProcessUsage | None = None

    @contextmanager
    def worker(self, stopping: threading.Event, *, alone: bool) -> Iterator[WorkerClient | None]:
        """Wait for a worker that has little in hand, and count a chunk of it until the block ends.

        With `alone`, it has nothing else in hand meanwhile. Yields None when `stopping` is set.
        """
        found = self._taken_alone(stopping) if alone else self._taken(stopping)
        try:
            yield found
        finally:
            with self._changed:
                if found:
                    found.load -= 1
                    found.idle_since = time.monotonic()
                if found is self._exclusive:
                    self._exclusive = None
                self._changed.notify_all()

    def want(self, number: int) -> None:
        """Have as many at work, or all that there may be. They end when there is nothing to do."""
        with self._changed:
            self._want(number)

    def works(self) -> None:
        """Note that a worker has stored something, or carried a chunk."""
        with self._changed:
            had_trouble, self._in_a_row = self._in_a_row >= _SOON, 0
        if had_trouble:
            self._on_trouble(False)

    def retire(self, worker: WorkerClient) -> None:
        """Replace a worker that could not record what it did, when it has nothing in hand."""
        with self._changed:
            worker.retires = True

    def loop(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        """Look after the workers until `stopping` is set and `wake` is called.

        Raises StoreError, and WorkerLost if no more can be started.
        """
        try:
            while not stopping.is_set():
                beat()
                self._wake.clear()
                self._look()
                self._wake.wait(_LOOK)
        finally:
            for each in self._all():
                each.stop()

    def wake(self) -> None:
        """Look soon whether to stop."""
        self._wake.set()
        with self._changed:
            self._changed.notify_all()

    def busy(self) -> list[str]:
        """Return the names of the workers that have something in hand."""
        return [each.name for each in self._all() if each.load]

    def usage(self) -> ProcessUsage | None:
        """Return what all workers use together, and have used; None if there was none yet."""
        known = [each.usage for each in self._all() if each.usage]
        if not known:
            return self._last_usage and replace(
                self._last_usage, cpu_seconds=self._past_seconds, **_NOTHING
            )
        self._last_usage = ProcessUsage(
            cpu_seconds=self._past_seconds + sum(each.cpu_seconds for each in known),
            resident_bytes=sum(each.resident_bytes for each in known),
            virtual_bytes=sum(each.virtual_bytes for each in known),
            open_files=sum(each.open_files for each in known),
            files_limit=known[0].files_limit,
            started_at=min(each.started_at for each in known),
        )
        return self._last_usage

    def paces(self) -> list[PaceNumbers]:
        """Return the pace of each client, as all workers said when they were last asked."""
        with self._changed:
            now = [pace for each in self._workers for pace in each.paces]
            return added_up([*self._past_paces, *now])

    def close(self) -> None:
        """End all workers, whatever they do, and wait a while for that. May be called twice."""
        for each in self._all():
            each.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._workers, _PATIENCE)

    def _all(self) -> list[WorkerClient]:
        with self._changed:
            return [*self._workers]

    def _taken(self, stopping: threading.Event) -> WorkerClient | None:
        with self._changed:
            while not stopping.is_set():
                ready = [each for each in self._ready() if each is not self._exclusive]
                idle = [each for each in ready if not each.load]
                if not ready:
                    self._want(1)
                if free := idle or ([] if self._is_forking() else ready):
                    found = min(free, key=lambda each: each.load)
                    found.load += 1
                    return found
                self._changed.wait(_LOOK)
        return None

    def _taken_alone(self, stopping: threading.Event) -> WorkerClient | None:
        with self._changed:
            mine: WorkerClient | None = None
            while not stopping.is_set():
                ready = self._ready()
                if not ready:
                    self._want(1)
                if mine not in ready:
                    mine = None
                if mine is None and ready and self._exclusive not in ready:
                    mine = self._exclusive = min(ready, key=lambda each: each.load)
                if mine and not mine.load:
                    mine.load += 1
                    return mine
                self._changed.wait(_LOOK)
            if mine:
                self._exclusive = None
        return None

    def _ready(self) -> list[WorkerClient]:
        return [each for each in self._workers if not each.retires]

    def _want(self, number: int) -> None:
        wanted = min(self.number, number)
        if wanted > self._wanted:
            self._wanted = wanted
            self._wake.set()

    def _is_forking(self) -> bool:
        """Whether another is about to be there. Called with the lock."""
        return len(self._workers) < self._wanted and time.monotonic() >= self._next_fork

    def _look(self) -> None:
        if self._server.has_ended():
            raise WorkerLost(LOST)
        self._release_ended()
        self._fork_missing()
        self._retire_idle()
        now, said = time.monotonic(), self._time_now()
        was_set = abs(said.line - self._said.line) >= _SET or said.certain != self._said.certain
        if was_set or now >= self._next_ping:
            self._next_ping, self._said = now + _PING, said
            for each in self._all():
                self._ask(each)
        for each in self._all():
            if each.retires and not each.load:
                each.close()

    def _ask(self, worker: WorkerClient) -> None:
        """Ask a worker whether it is alive, and kill it if it has not answered for too long."""
        if worker.is_killed:
            return
        stalled = ", ".join(worker.stalled)
        if worker.ping(self._time_now()) > WORKER_TIMEOUT or stalled:
            _log.error("a worker process hangs, and is killed", worker=worker.name, what=stalled)
            worker.is_killed = True
            self._server.kill(worker.pid)

    def _retire_idle(self) -> None:
        now = time.monotonic()
        with self._changed:
            for each in self._ready():
                if not each.load and now - each.idle_since >= _IDLE:
                    each.retires = True
                    self._wanted -= 1

    def _fork_missing(self) -> None:
        while len(self._all()) < self._wanted and time.monotonic() >= self._next_fork:
            slot = min({*range(self.number)} - {slot_of(each.name) for each in self._all()})
            name = f"{self._owner}/{next(self._serials)}.{slot}"
            try:
                pid, pipe = self._server.fork(name)
            except OSError as error:
                _log.warning("no worker process could be started", reason=str(error))
                self._pause()
                return
            with self._changed:
                self._workers.append(WorkerClient(name, pid, pipe, self._has_ended))
                self._changed.notify_all()

    def _has_ended(self, worker: WorkerClient) -> None:
        """Note the end of a worker. Called from its own listener."""
        with self._changed:
            if worker in self._workers:
                self._workers.remove(worker)
            self._past_seconds += worker.usage.cpu_seconds if worker.usage else 0.0
            # its pace is of no account any more
            past = (replace(each, rate=math.inf) for each in worker.paces)
            self._past_paces = added_up([*self._past_paces, *past])
            self._ended.append(worker)
            self._changed.notify_all()
        self._wake.set()

    def _release_ended(self) -> None:
        """Release what ended workers had in hand; on a full disk, try again later."""
        with self._changed:
            ended = [*self._ended]
        for each in ended:
            try:
                self._release(each, stopped=each.retires)
            except (DiskFull, StoreUnreachable) as error:
                _log.warning("claims are released later", reason=str(error))
                return
            self.on_released()
            with self._changed:
                self._ended.remove(each)
            if not each.retires:
                self._note_crash(each)

    def _note_crash(self, worker: WorkerClient) -> None:
        seconds = self._pause()
        _log.warning(
            "a worker process has ended, and is replaced",
            worker=worker.name,
            process=worker.pid,
            seconds=seconds,
        )

    def _pause(self) -> float:
        """Wait before the next worker is started, if this was not the first failure in a row.

        Returns for how many seconds.
        """
        with self._changed:
            self._in_a_row += 1
            in_a_row = self._in_a_row
        seconds = self._backoff.after(in_a_row - _SOON + 1).total_seconds()
        self._next_fork = time.monotonic() + seconds
        if in_a_row >= _SOON:
            self._on_trouble(True)
        return seconds
