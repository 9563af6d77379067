"""One worker process, as the service sees it."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from daemon.core.errors import PostmottakError
from daemon.core.pacing import PaceNumbers
from daemon.intake.carrier import Carried, Report
from daemon.intake.worker.messages import (
    Chunk,
    ChunkEnded,
    ChunkProgress,
    FromService,
    FromWorker,
    Ping,
    Pong,
    StopWork,
    TimeNow,
    UseSnapshot,
)
from daemon.runtime.process_usage import ProcessUsage


class WorkerEnded(Exception):
    """The worker process has ended before it had carried a chunk."""


@dataclass(frozen=True, kw_only=True)
class _PendingChunk:
    """A chunk that a worker has in hand."""

    report: Report
    result: Future[Carried] = field(default_factory=Future)


class WorkerClient:
    """A worker process. Methods may be called from any thread, unless they say otherwise."""

    def __init__(
        self, name: str, pid: int, pipe: Connection, on_end: Callable[[WorkerClient], None]
    ) -> None:
        """Begin to listen; `on_end` is called once, from another thread, when it has ended."""
        self.name, self.pid = name, pid
        self.load = 0
        """Chunks in hand; for the supervisor."""
        self.idle_since = time.monotonic()
        """Since when it has none; for the supervisor."""
        self.retires = False
        """Whether it gets no more chunks, and is replaced; for the supervisor."""
        self.is_killed = False
        """Whether it was killed, and may not have ended yet; for the supervisor."""
        self.usage: ProcessUsage | None = None
        """What it uses, as it said when it was last asked."""
        self.stalled: Collection[str] = ()
        """What hung in it then."""
        self.paces: Sequence[PaceNumbers] = ()
        """Of its calls until then."""
        self._pipe, self._on_end = pipe, on_end
        self._sending, self._closing = threading.Lock(), threading.Lock()
        self._chunks: dict[int, _PendingChunk] = {}
        self._snapshot: UseSnapshot | None = None
        self._ended = False
        self._asked_at: float | None = None
        """Since when a ping is not answered."""
        self._is_asked = False
        """Whether that ping is sent."""
        self._listener = threading.Thread(target=self._listen, name=name, daemon=True)
        self._listener.start()

    def carry(self, snapshot: UseSnapshot, chunk: Chunk, report: Report) -> Future[Carried]:
        """Let it carry a chunk by this snapshot; `report` is called from another thread.

        The result raises what carrying raises, or WorkerEnded.
        """
        pending = _PendingChunk(report=report)
        with self._sending:
            if self._ended:
                raise WorkerEnded
            self._chunks[chunk.number] = pending
            if self._snapshot is not snapshot:
                self._send(snapshot)
                self._snapshot = snapshot
            self._send(chunk)
        return pending.result

    def ping(self, now: TimeNow) -> float:
        """Ask whether it is alive, unless it is being asked.

        Returns for how many seconds it has not answered.
        """
        now_is = time.monotonic()
        if self._asked_at is None:
            self._asked_at, self._is_asked = now_is, False
        asked_at = self._asked_at
        # while it does not take a chunk that is being sent, this would wait as well
        if not self._is_asked and self._sending.acquire(blocking=False):
            try:
                self._is_asked = True
                self._send(Ping(time=now))
            finally:
                self._sending.release()
        return now_is - asked_at

    def stop(self) -> None:
        """Let it finish what it has in hand."""
        with self._sending:
            self._send(StopWork())

    def close(self) -> None:
        """Send nothing more, which ends the worker; `on_end` is called when it has ended."""
        with self._closing, suppress(OSError):
            if not self._pipe.closed:
                # a socket from which another thread reads is not closed by closing its descriptor
                with socket.socket(fileno=os.dup(self._pipe.fileno())) as line:
                    line.shutdown(socket.SHUT_WR)

    def _send(self, what: FromService) -> None:
        """Send, while `_sending` is held; if it has ended, the listener notices."""
        with suppress(OSError):
            self._pipe.send_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))

    def _listen(self) -> None:
        try:
            while True:
                # from our own worker process
                message: FromWorker = pickle.loads(self._pipe.recv_bytes())  # noqa: S301
                self._take(message)
        except (EOFError, OSError):
            pass
        finally:
            with self._sending:
                self._ended = True
                left, self._chunks = self._chunks, {}
            with self._closing:
                self._pipe.close()
            self._on_end(self)
            for each in left.values():
                each.result.set_exception(WorkerEnded())

    def _take(self, message: FromWorker) -> None:
        match message:
            case Pong(usage=usage, stalled=stalled, paces=paces):
                self.usage, self.stalled, self.paces = usage, stalled, paces
                self._asked_at = None
            case ChunkProgress(number=number, progress=progress):
                self._chunks[number].report(progress)
            case ChunkEnded(number=number, outcome=outcome):
                with self._sending:
                    result = self._chunks.pop(number).result
                if isinstance(outcome, PostmottakError):
                    result.set_exception(outcome)
                else:
                    result.set_result(outcome)
