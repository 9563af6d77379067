"""What the agent's process does: it is told over a line what to do, has several threads do it, and answers when that has ended."""

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
from daemon.runtime.thread_pool import ThreadPool
from daemon.store.content import ContentStore

Connect = Callable[[ConnectorConfiguration], LocalDestination]
Method = Literal["deliver_batch", "settled", "traces"]
_NOT_FOR_US = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# for each destination: one writes while the other waits for the disk; more would only take turns at
# the interpreter
_THREADS = 2
_HEARTBEAT_INTERVAL = 1.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to do at a destination: the method of this name, and what it is to be called with."""

    number: int
    connector: ConnectorConfiguration
    method: Method
    about: bytes
    """Packed by itself: what cannot be unpacked fails this request, and not the agent."""


@dataclass(frozen=True, kw_only=True)
class Ping:
    """Whether the agent still turns; the answer says so."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a request or a question; or, if the request has not `ended`, a sign of life."""

    number: int
    ended: bool = True
    outcome: bytes = b""
    """Packed by itself, like what the request is about."""


@dataclass(frozen=True, kw_only=True)
class _DestinationPool:
    """A destination, and the threads that work for it alone, so that one whose share hangs holds up no other."""

    connector: ConnectorConfiguration
    destination: LocalDestination
    threads: ThreadPoolExecutor


class WorkerProcess:
    """The work of the agent, for as long as there is a service at the other end of `line`."""

    def __init__(self, line: Connection, content: ContentStore, connect: Connect) -> None:
        self._line, self._content, self._connect = line, content, connect
        self._answering = threading.Lock()
        self._pools: dict[str, _DestinationPool] = {}

    def run(self) -> NoReturn:
        """Do what is asked, and end with the service.

        A signal to stop or to reload is meant for the service, wherever it arrives.
        """
        for each in _NOT_FOR_US:
            signal.signal(each, signal.SIG_IGN)
        while True:
            try:
                # from our own service
                asked: Request | Ping = pickle.loads(self._line.recv_bytes())  # noqa: S301
            except (EOFError, OSError):
                os._exit(
                    0
                )  # nobody is there to record what comes of it; the next service repeats it
            if isinstance(asked, Ping):
                self._answer(Reply(number=asked.number))
            else:
                self._begin(asked)

    def _begin(self, request: Request) -> None:
        desk = outcome_of(
            partial(self._desk, request.connector), destination=request.connector.name
        )
        if isinstance(desk, PostmottakError):
            self._answer(
                Reply(number=request.number, outcome=_packed_outcome(desk, request.connector.name))
            )
        else:
            desk.threads.submit(self._do, desk.destination, request)

    def _desk(self, connector: ConnectorConfiguration) -> _DestinationPool:
        """The destination as it is configured now."""
        found = self._pools.get(connector.name)
        if found and found.connector == connector:
            return found
        destination = self._connect(connector)
        if found:
            threading.Thread(target=_retire, args=(found,), daemon=True).start()
        self._pools[connector.name] = desk = _DestinationPool(
            connector=connector, destination=destination, threads=ThreadPool(_THREADS)
        )
        return desk

    def _do(self, destination: LocalDestination, request: Request) -> None:
        try:
            outcome = outcome_of(
                partial(self._run_errand, destination, request), destination=destination.name
            )
            self._answer(
                Reply(number=request.number, outcome=_packed_outcome(outcome, destination.name))
            )
        except BaseException:  # noqa: BLE001  # without an answer the service would wait for ever
            end_with_traceback()

    def _run_errand(self, destination: LocalDestination, request: Request) -> Any:
        match request.method:
            case "deliver_batch":
                beat = _Beat(lambda: self._answer(Reply(number=request.number, ended=False)))
                return destination.deliver_batch(
                    [self._with_content(each, beat) for each in unpacked(request.about)]
                )
            case "settled":
                return destination.forget(unpacked(request.about))
            case "traces":
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
    """The value for the other process.

    Raises whatever its parts raise: a RecursionError, for one.
    """
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpacked(data: bytes) -> Any:
    """The value that the other process packed. Raises whatever its parts raise."""
    return pickle.loads(data)  # noqa: S301  # from our own other half


def _packed_outcome(outcome: Any, destination: str) -> bytes:
    """The outcome.

    Or if that cannot be told to the service, which is tried out, that the connector is at fault.
    """

    def tried() -> bytes:
        data = packed(outcome)
        unpacked(data)
        return data

    found = outcome_of(tried, destination=destination)
    return packed(found) if isinstance(found, PostmottakError) else found


def end_with_traceback() -> NoReturn:
    """End the agent at once for what nobody foresaw: it is seen, and the service, which ends as well, is started anew."""
    try:
        traceback.print_exc()
    finally:
        os._exit(1)  # also where nobody can read why


class _Beat:
    """Passes signs of life on, but not more often than anybody needs them.

    May be called from any thread.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell, self._next = tell, time.monotonic() + _HEARTBEAT_INTERVAL

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _HEARTBEAT_INTERVAL
            self._tell()
