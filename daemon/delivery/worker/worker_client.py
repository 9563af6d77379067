"""The service's side of the worker process, which makes the deliveries on this machine.

A second process, so that deliveries and fetching need not share one core: Python runs one thread of
a process at a time, and writing a letter's files takes as long as fetching them. The worker process
is a fork of the service, made before the service has threads, and shares what is in memory with it.
It holds the store's lock as well (flock(2)), so that no other service begins while it works; and it
ends when its service does, however that ends, because the pipe between them is closed.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from daemon.config.loader import ConnectorConfiguration
from daemon.core.callbacks import do_nothing
from daemon.core.errors import PostmottakError, WorkerLost
from daemon.delivery.worker.worker_process import (
    Connect,
    Method,
    Ping,
    Reply,
    Request,
    WorkerProcess,
    end_with_traceback,
    packed,
    unpacked,
)
from daemon.runtime.heartbeat import Heartbeat
from daemon.runtime.process import pin_to
from daemon.runtime.process_usage import ProcessUsage
from daemon.store.content import ContentStore

WORKER = "worker"  # the name of its heartbeat
LOST = (
    "the worker process, which writes drops, has ended; what it had in flight is repeated when the "
    "service is started again"
)
# seconds for a killed worker process to end; one in a call to a dead share is left to the system
_PATIENCE = 2.0
_LOOK = 0.01


@dataclass(frozen=True)
class _PendingCall:
    """A request that waits for its answer."""

    beat: Heartbeat
    answer: Future[Any] = field(default_factory=Future)


class WorkerClient:
    """The worker process, as the service sees it.

    `ask` may be called from several threads, everything else from the first one.
    """

    def __init__(
        self, content: ContentStore, connect: Connect, cores: Collection[int] = ()
    ) -> None:
        """Start the worker process on these cores, or on the service's own.

        Call this while the process has one thread only: a fork would lack the others, and what they
        had locked would stay locked.
        """
        self._line, theirs = Pipe()
        self._pid = os.fork()
        if not self._pid:
            self._line.close()
            pin_to(cores)
            _work(theirs, content, connect)
        theirs.close()
        self._numbers = count()
        self._calls: dict[int, _PendingCall] = {}
        self._asking = threading.Lock()
        self._reader: threading.Thread | None = None
        self._asked: Future[Any] | None = None
        self._silent = False
        self._ended = False
        self.usage: ProcessUsage | None = None
        """What the worker process uses, as it said when it was last asked by `look`."""

    def ask(
        self,
        connector: ConnectorConfiguration,
        method: Method,
        about: Any = None,
        beat: Heartbeat = do_nothing,
    ) -> Any:
        """Let the worker process call a method of a destination, and wait until it is done.

        `beat` is called while it makes progress. Returns what the destination returns, and raises
        the PostmottakError that it raises; the outcomes of deliveries are returned, errors among
        them. Raises WorkerLost, and what pickle raises if `about` cannot be handed over.
        """
        request = Request(
            number=next(self._numbers), connector=connector, method=method, about=packed(about)
        )
        outcome = unpacked(self._send(request, beat).result())
        if isinstance(outcome, PostmottakError):
            raise outcome
        return outcome

    def look(self, beat: Heartbeat) -> None:
        """Ask the worker process whether it is alive.

        `beat` is called if it has answered the last such question, so call this repeatedly.
        """
        if self._asked is None or self._asked.done():
            beat()
            with suppress(WorkerLost):  # `has_ended` reports it
                self._asked = self._send(Ping(number=next(self._numbers)), do_nothing)
                self._asked.add_done_callback(self._note_usage)

    def _note_usage(self, answered: Future[Any]) -> None:
        self.usage = None if answered.exception() else unpacked(answered.result())

    def _send(self, what: Request | Ping, beat: Heartbeat) -> Future[Any]:
        call = _PendingCall(beat)
        message = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
        with self._asking:
            if self._silent:
                raise WorkerLost(LOST)
            self._calls[what.number] = call
            self._listen()
            try:
                self._line.send_bytes(message)
            except OSError as error:
                raise WorkerLost(LOST) from error
        return call.answer

    def has_ended(self) -> bool:
        """Whether the worker process has ended, which it should only after `close`."""
        if not self._ended:
            try:
                self._ended = os.waitpid(self._pid, os.WNOHANG) != (0, 0)
            except ChildProcessError:  # our parent made the system forget children at once
                self._ended = True
        return self._ended

    def close(self) -> None:
        """End the worker process, whatever it is doing; the next service repeats that.

        May be called twice.
        """
        ends = time.monotonic() + _PATIENCE
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        while not self.has_ended() and time.monotonic() < ends:
            time.sleep(_LOOK)
        if self._reader:
            self._reader.join(_PATIENCE)
        self._line.close()

    def _listen(self) -> None:
        """Start the thread that receives the answers, unless it is running."""
        if self._reader is None:
            self._reader = threading.Thread(target=self._hear, name=WORKER, daemon=True)
            self._reader.start()

    def _hear(self) -> None:
        try:
            while True:
                # from our own worker process
                answer: Reply = pickle.loads(self._line.recv_bytes())  # noqa: S301
                if answer.ended:
                    self._calls.pop(answer.number).answer.set_result(answer.outcome)
                else:
                    self._calls[answer.number].beat()
        except (EOFError, OSError):
            pass
        finally:
            with self._asking:
                self._silent = True
            for call in self._calls.values():
                call.answer.set_exception(WorkerLost(LOST))


def _work(line: Connection, content: ContentStore, connect: Connect) -> NoReturn:
    """Run the worker process, and never return to what the service was about to do."""
    try:
        WorkerProcess(line, content, connect).run()
    except BaseException:  # noqa: BLE001  # nothing may get past this point
        end_with_traceback()
