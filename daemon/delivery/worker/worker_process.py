"""The worker process's own side: it receives requests over a pipe, and answers each when done.

Several threads carry the requests out.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, BinaryIO, Literal, NoReturn

from daemon.config.loader import ConnectorConfiguration
from daemon.core.connector_calls import outcome_of
from daemon.core.errors import PostmottakError
from daemon.core.ports import LocalDestination, Parcel
from daemon.runtime.heartbeat import Heartbeat, with_heartbeat
from daemon.runtime.process_usage import usage_of_this_process
from daemon.runtime.thread_pool import ThreadPool
from daemon.store.content import ContentStore

Connect = Callable[[ConnectorConfiguration], LocalDestination]
Method = Literal["deliver_batch", "forget", "dedup_records"]
_NOT_FOR_US = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# for each destination: one writes while the other waits for the disk; more would only wait for the
# interpreter
_THREADS = 2
_HEARTBEAT_INTERVAL = 1.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call to a destination: the name of the method, and its argument."""

    number: int
    connector: ConnectorConfiguration
    method: Method
    about: bytes
    """Packed separately: what cannot be unpacked fails this request, not the worker process."""


@dataclass(frozen=True, kw_only=True)
class Ping:
    """The question whether the worker process is alive.

    The answer shows it, and says what the process uses: the service cannot see that by itself.
    """

    number: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The result of a request or a ping; or, if the request has not `ended`, a heartbeat."""

    number: int
    ended: bool = True
    outcome: bytes = b""
    """Packed separately, like the argument of the request."""


@dataclass(frozen=True, kw_only=True)
class _DestinationPool:
    """A destination and its own threads, so that one whose share hangs holds up no other."""

    connector: ConnectorConfiguration
    destination: LocalDestination
    threads: ThreadPoolExecutor


class WorkerProcess:
    """The work of the worker process, while the service holds the other end of the pipe `line`."""

    def __init__(self, line: Connection, content: ContentStore, connect: Connect) -> None:
        self._line, self._content, self._connect = line, content, connect
        self._answering = threading.Lock()
        self._pools: dict[str, _DestinationPool] = {}

    def run(self) -> NoReturn:
        """Carry requests out, and end with the service.

        Signals to stop or to reload are ignored: they are meant for the service.
        """
        for each in _NOT_FOR_US:
            signal.signal(each, signal.SIG_IGN)
        while True:
            try:
                # from our own service
                asked: Request | Ping = pickle.loads(self._line.recv_bytes())  # noqa: S301
            except (EOFError, OSError):
                # no service is there to record results; the next one repeats what is in flight
                os._exit(0)
            if isinstance(asked, Ping):
                self._answer(Reply(number=asked.number, outcome=packed(usage_of_this_process())))
            else:
                self._begin(asked)

    def _begin(self, request: Request) -> None:
        pool = outcome_of(
            partial(self._pool, request.connector), destination=request.connector.name
        )
        if isinstance(pool, PostmottakError):
            self._answer(
                Reply(number=request.number, outcome=_packed_outcome(pool, request.connector.name))
            )
        else:
            pool.threads.submit(self._do, pool.destination, request)

    def _pool(self, connector: ConnectorConfiguration) -> _DestinationPool:
        """Return the destination as it is configured now, with its threads."""
        found = self._pools.get(connector.name)
        if found and found.connector == connector:
            return found
        destination = self._connect(connector)
        if found:
            threading.Thread(target=_retire, args=(found,), daemon=True).start()
        self._pools[connector.name] = pool = _DestinationPool(
            connector=connector, destination=destination, threads=ThreadPool(_THREADS)
        )
        return pool

    def _do(self, destination: LocalDestination, request: Request) -> None:
        try:
            outcome = outcome_of(
                partial(self._call, destination, request), destination=destination.name
            )
            self._answer(
                Reply(number=request.number, outcome=_packed_outcome(outcome, destination.name))
            )
        except BaseException:  # noqa: BLE001  # without an answer the service would wait for ever
            end_with_traceback()

    def _call(self, destination: LocalDestination, request: Request) -> Any:
        match request.method:
            case "deliver_batch":
                beat = _Beat(lambda: self._answer(Reply(number=request.number, ended=False)))
                return destination.deliver_batch(
                    [self._with_content(each, beat) for each in unpacked(request.about)]
                )
            case "forget":
                return destination.forget(unpacked(request.about))
            case "dedup_records":
                return destination.dedup_records()

    def _with_content(self, parcel: Parcel, beat: Heartbeat) -> Parcel:
        parts = tuple(
            replace(part, open=partial(self._open, part.sha256, beat)) for part in parcel.parts
        )
        return replace(parcel, parts=parts)

    def _open(self, sha256: str, beat: Heartbeat) -> BinaryIO:
        return with_heartbeat(self._content.open(sha256), beat)

    def _answer(self, answer: Reply) -> None:
        message = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        try:
            with self._answering:
                self._line.send_bytes(message)
        except OSError:
            os._exit(0)


def _retire(pool: _DestinationPool) -> None:
    """Close a destination that was replaced, once its work has ended."""
    pool.threads.shutdown()
    pool.destination.close()


def packed(value: Any) -> bytes:
    """Return the value as bytes for the other process.

    Raises what its parts raise, such as a RecursionError.
    """
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> Any:
    """Return the value that the other process packed. Raises what its parts raise."""
    return pickle.loads(data)  # noqa: S301  # from our own other half


def _packed_outcome(outcome: Any, destination: str) -> bytes:
    """Return the outcome for the service, packed.

    If it cannot be packed and unpacked, which is tried, return a fault of the connector.
    """

    def tried() -> bytes:
        data = packed(outcome)
        unpacked(data)
        return data

    found = outcome_of(tried, destination=destination)
    return packed(found) if isinstance(found, PostmottakError) else found


def end_with_traceback() -> NoReturn:
    """End the worker process at once after an unexpected error.

    The service notices, ends as well, and is started again.
    """
    try:
        traceback.print_exc()
    finally:
        os._exit(1)  # even if the traceback cannot be written


class _Beat:
    """Sends heartbeats, at most one in `_HEARTBEAT_INTERVAL` seconds.

    May be called from any thread.
    """

    def __init__(self, send: Callable[[], None]) -> None:
        self._send, self._next = send, time.monotonic() + _HEARTBEAT_INTERVAL

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _HEARTBEAT_INTERVAL
            self._send()
