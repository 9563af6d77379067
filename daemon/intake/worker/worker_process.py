"""The worker process's own side: it fetches, stores and drops letters, a chunk at a time.

It opens its own connections, to the mailboxes and the database, after it was forked. Each chunk has
a thread; another one, the first, receives what the service sends, and ends the process when the
service has ended.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog

from daemon.config.loader import (
    Configuration,
    DestinationConfiguration,
    MailboxConfiguration,
)
from daemon.core.callbacks import do_nothing
from daemon.core.connector_calls import call_connector
from daemon.core.elapsed import elapsed
from daemon.core.errors import PostmottakError, StoreError
from daemon.core.nodes import member_of
from daemon.core.pacing import PROCESSES, PaceNumbers
from daemon.core.ports import Destination, Mailbox
from daemon.core.shared_tokens import SharesTokens
from daemon.delivery.local import LocalDeliveries
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.intake.carrier import Carried, Carrier, CarryProgress
from daemon.intake.fetch import Fetcher
from daemon.intake.mailboxes import paces_of
from daemon.intake.party_names import names_of
from daemon.intake.pauses import hear_pauses, tell_pauses
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
    unpack_snapshot,
)
from daemon.routing.table import parse_table
from daemon.runtime.fork_server import IGNORED, end_with_traceback
from daemon.runtime.heartbeat import LOOP_TIMEOUT, Heartbeats, mailbox_with_heartbeat
from daemon.runtime.process_usage import usage_of_this_process
from daemon.store import BusyWait, Store
from daemon.store.content_place import content_of

_log = structlog.get_logger(__name__)
_START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Connectors:
    """Connects what a configuration names."""

    mailbox: Callable[[MailboxConfiguration], Mailbox]
    destination: Callable[[DestinationConfiguration], Destination]


class WorkerClock:
    """The service's clock in another process: what it said last, and the seconds since then.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._time = TimeNow(line=_START, certain=False)

    def set(self, time: TimeNow) -> None:
        """Follow the service."""
        self._time = time

    def __call__(self) -> datetime:
        """Return the time."""
        return self._time.line + timedelta(seconds=elapsed())

    def steady(self) -> datetime:
        """Return a time for measuring only, which is never set."""
        return _START + timedelta(seconds=elapsed())

    def certain(self) -> bool:
        """Whether a delivery may be given up by it."""
        return self._time.certain


class _WorkerParts:
    """What carries letters, by the configuration at the worker's start."""

    def __init__(
        self,
        configuration: Configuration,
        connectors: Connectors,
        name: str,
        confirm: Callable[[], None],
    ) -> None:
        """Open the store and connect mailboxes. Raises StoreError."""
        self.stopping, self.heartbeats, self.clock = threading.Event(), Heartbeats(), WorkerClock()
        busy_wait = BusyWait(limit=None, stopping=self.stopping, on_wait=self._excuse, rides=True)
        settings = configuration.store
        self.store = Store(settings.database, busy_wait, settings.password)
        if self.store.is_shared:
            self.store.write_as(member_of(name))
            tell_pauses(self.store)
        self.content = content_of(settings, temporaries_of(name))
        self.names = names_of(self.store, configuration)
        self._mailboxes: dict[str, Mailbox] = {}
        self._configured = {each.name: each for each in configuration.mailboxes}
        self._connectors, self._lock = connectors, threading.Lock()
        self.local = LocalDeliveries(
            store=self.store,
            content=self.content,
            owner=name,
            clock=self.clock,
            steady=self.clock.steady,
            may_give_up=self.clock.certain,
            confirm=confirm,
        )

    def mailbox(self, name: str) -> Mailbox:
        """Return a mailbox, connected when it is first asked for."""
        with self._lock:
            if name not in self._mailboxes:
                self._mailboxes[name] = self._connectors.mailbox(self._configured[name])
            return self._mailboxes[name]

    def paces(self) -> list[PaceNumbers]:
        """Return the pace of each client in this process."""
        with self._lock:
            return paces_of(self._mailboxes.values())

    def _excuse(self, step: float, _total: float) -> None:
        self.heartbeats.excuse(step)


class WorkerProcess:
    """The work of a worker process, while the service holds the other end of the pipe."""

    def __init__(
        self,
        pipe: Connection,
        name: str,
        connectors: Connectors,
        confirm: Callable[[], None] = do_nothing,
    ) -> None:
        self._confirm = confirm
        self._pipe, self._name, self._connectors = pipe, name, connectors
        self._sending = threading.Lock()
        self._parts: _WorkerParts | None
        self._active: ActiveSnapshot | None = None
        self._configuration: Configuration | None = None
        self._opening, self._parts = threading.Lock(), None
        self._asked_to_stop = False

    def run(self) -> NoReturn:
        """Carry requests out, and end with the service.

        Signals to stop or to reload are ignored: they are meant for the service.
        """
        for each in IGNORED:
            signal.signal(each, signal.SIG_IGN)
        while True:
            try:
                # from our own service
                message: FromService = pickle.loads(self._pipe.recv_bytes())  # noqa: S301
            except (EOFError, OSError):
                # no service is there: the next one repeats what is in hand
                os._exit(0)
            self._take(message)

    def _take(self, message: FromService) -> None:
        match message:
            case UseSnapshot():
                self._use(message)
            case Chunk():
                threading.Thread(
                    target=self._do, args=(message,), name=f"chunk {message.number}", daemon=True
                ).start()
            case Ping():
                self._answer(message)
            case StopWork():
                self._asked_to_stop = True
                with self._opening:
                    if self._parts:
                        self._parts.stopping.set()

    def _answer(self, ping: Ping) -> None:
        stalled: list[str] = []
        paces: list[PaceNumbers] = []
        if self._parts:
            self._parts.clock.set(ping.time)
            stalled, paces = self._parts.heartbeats.stalled(), self._parts.paces()
        self._send(Pong(usage=usage_of_this_process(), stalled=stalled, paces=paces))

    def _use(self, message: UseSnapshot) -> None:
        # from our own service
        new, text, names = unpack_snapshot(message)
        kept: Mapping[str, Destination] = {}
        if self._active and self._configuration:
            old = self._active.snapshot()
            kept = {
                each.name: old.destinations[each.name]
                for each in new.destinations
                if each in old.configuration.destinations and each.name in old.destinations
            }
        self._configuration = self._configuration or new
        connected = {
            each.name: destination
            for each in new.destinations
            if each.name not in kept and (destination := self._connected(each))
        }
        table = parse_table(text, str(new.routing.file), names)
        snapshot = Snapshot(configuration=new, table=table, destinations={**kept, **connected})
        if self._active:
            self._active.replace(snapshot)
        else:
            self._active = ActiveSnapshot(snapshot)

    def _connected(self, wanted: DestinationConfiguration) -> Destination | None:
        """Return the destination, or None if it fails: then the outbox has it alone.

        This process must not end with it, or the letters that it has in hand would be blamed.
        """
        found = call_connector(
            partial(self._connectors.destination, wanted), destination=wanted.name
        )
        return None if isinstance(found, PostmottakError) else found

    def _opened(self) -> _WorkerParts:
        """Return the parts, opened when they are first needed. Raises StoreError."""
        with self._opening:
            if self._parts is None:
                assert self._configuration
                self._parts = _WorkerParts(
                    self._configuration, self._connectors, self._name, self._confirm
                )
                if self._asked_to_stop:
                    self._parts.stopping.set()
            return self._parts

    def _do(self, chunk: Chunk) -> None:
        """Carry a chunk, and answer with what became of it."""
        try:
            outcome: Carried | PostmottakError = self._carry(chunk)
        except StoreError as error:
            outcome = type(error)(str(error))
        except PostmottakError as error:
            outcome = PostmottakError(str(error))
        except Exception as fault:  # noqa: BLE001  # the service ends with it, as with its own
            _log.exception("a worker process failed unexpectedly")
            outcome = PostmottakError(
                f"a worker process failed: {type(fault).__name__}; see the log"
            )
        self._send(ChunkEnded(number=chunk.number, outcome=outcome))

    def _carry(self, chunk: Chunk) -> Carried:
        parts, active = self._opened(), self._active
        assert active
        parts.clock.set(chunk.time)
        PROCESSES.number = chunk.processes
        if parts.store.is_shared:
            hear_pauses(parts.store, parts.clock())
        mailbox = parts.mailbox(chunk.mailbox)
        if isinstance(mailbox, SharesTokens):
            mailbox.borrow_tokens(chunk.tokens)
        heartbeat = f"chunk {chunk.number} of {chunk.mailbox}"
        with parts.heartbeats.task(heartbeat, LOOP_TIMEOUT) as beat, active.use() as snapshot:
            carrier = Carrier(
                store=parts.store,
                fetcher=Fetcher(
                    store=parts.store,
                    content=parts.content,
                    table=lambda: snapshot.table,
                    clock=parts.clock,
                    names=parts.names,
                ),
                workers=chunk.at_once,
                local=parts.local.begin(snapshot, chunk.usable, beat),
            )
            return carrier.carry(
                mailbox_with_heartbeat(mailbox, beat),
                chunk.policies,
                chunk.work,
                parts.stopping,
                partial(self._report, chunk.number),
            )

    def _report(self, number: int, progress: CarryProgress) -> None:
        self._send(ChunkProgress(number=number, progress=progress))

    def _send(self, what: FromWorker) -> None:
        message = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
        try:
            with self._sending:
                self._pipe.send_bytes(message)
        except OSError:
            os._exit(0)


def temporaries_of(name: str) -> str:
    """Return how the half-written files of the worker `name` begin in the content store."""
    node, *_, worker = name.split("/")
    return f"{temporaries_of_node(node) if name.count('/') > 1 else ''}{worker}-"


def temporaries_of_node(node: str) -> str:
    """Return how those of a node begin; what a folder has is nobody else's without nodes."""
    return node and f"{node}@"


def work(
    connectors: Connectors,
    pipe: Connection,
    name: str,
    confirm: Callable[[], None] = do_nothing,
) -> NoReturn:
    """Be the worker process `name`; `confirm` is as in a parcel."""
    try:
        WorkerProcess(pipe, name, connectors, confirm).run()
    except BaseException:  # noqa: BLE001  # nothing may get past this point
        end_with_traceback()
