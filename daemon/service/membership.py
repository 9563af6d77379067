"""What this process is among the nodes of its store: alone, or one of several.

A node says every second that it is alive, by a thread and a connection of their own. Without a
fresh answer it waits before it lets others see anything, not longer than `LEASE`, and it ends when
it learns that it was fenced off. Others do that when they have seen nothing of it for longer, or,
when its connection has ended, once its last answer is not fresh any more.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from daemon.config.store import StoreSettings
from daemon.core.callbacks import do_nothing
from daemon.core.elapsed import elapsed
from daemon.core.errors import NodeFenced, OperatorError, StoreError
from daemon.core.node_role import NodeRole, SoleProcess
from daemon.core.nodes import (
    BEAT_EVERY,
    CONNECTED_FOR,
    FRESH,
    LEASE,
    LOOK_EVERY,
    SILENT_AFTER,
    WATCHED_FOR,
    Duty,
    Member,
    NodeRow,
)
from daemon.intake.pauses import tell_pauses
from daemon.runtime.lease import Lease
from daemon.runtime.process import own_version, process_name
from daemon.store import Store
from daemon.store.lock import lock_path

_log = structlog.get_logger(__name__)
NODE = "node"
_ROUND_TRIP = 1.0  # seconds; a clock that is read more slowly says little
_LOOK_AGAIN = 0.5  # seconds


@dataclass(frozen=True)
class _SeenNode:
    """When another node was first seen as it is."""

    seen_at: datetime
    since: float


class Membership:
    """One start of a node, while it takes part."""

    def __init__(self, store: Store, name: str, lock: str, lease: Lease) -> None:
        """`lock` says which lock file of this machine the process holds."""
        self._store, self._lock, self.lease = store, lock, lease
        self.member = Member(node=name, incarnation=secrets.token_hex(6))
        self.node, self.owner = name, self.member.owner
        self.takeovers = 0
        """How often this process has taken over the work of another node."""
        self.fenced: NodeFenced | None = None
        self.on_released: Callable[[], None] = do_nothing
        """Called when deliveries of a silent node are due again."""
        self.silent_wake = threading.Event()
        self._line: datetime | None = None
        """The database's time at second 0 of `elapsed`."""
        self._watched: dict[Member, _SeenNode] = {}
        self._answered_since = math.inf
        """Since when every heartbeat was answered; never, after one that was not."""
        self._connected = (0, math.inf)
        """The server's process that answers heartbeats, and since when all were its."""
        self._ended: Collection[Member] = ()
        self._looked_at = -math.inf
        self._nodes: Sequence[NodeRow] = ()
        self._duties: Mapping[str, Member] = {}
        self._asked: dict[str, float] = {}
        self._taking = threading.Lock()

    def join(self) -> None:
        """Take part, once the name is free. Raises StoreError if another process has it."""
        first: _SeenNode | None = None
        while found := self._store.nodes.join(self._wanted(), partial(self._is_over, first)):
            if first and found.seen_at != first.seen_at:
                raise StoreError(_taken(found))
            if not first:
                first = _SeenNode(found.seen_at, elapsed())
                _log.warning("a node of this name may be alive; it is watched", node=found.name)
            time.sleep(_LOOK_AGAIN)
        self._store.write_as(self.member)
        self.beat()
        _log.info("this node takes part", node=self.member.node, start=self.member.incarnation)

    def _wanted(self) -> NodeRow:
        now = datetime.now(UTC)
        return NodeRow(
            name=self.member.node,
            incarnation=self.member.incarnation,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=own_version(),
            lock=self._lock,
            started_at=now,
            seen_at=now,
        )

    def _is_over(self, first: _SeenNode | None, other: NodeRow, now: datetime) -> bool:
        """Whether the process of an earlier start has ended, or has been silent for long enough.

        It has ended if it held the lock that this process holds.
        """
        if self._lock and other.lock == self._lock:
            return True
        return (
            first is not None
            and other.seen_at == first.seen_at
            and now - other.seen_at >= SILENT_AFTER
            and elapsed() - first.since >= WATCHED_FOR.total_seconds()
        )

    def runs(self) -> bool:
        """Whether the lease runs."""
        return self.lease.runs()

    def confirm(self) -> None:
        """Raise TemporaryFailure unless the lease runs."""
        self.lease.confirm()

    def now(self) -> datetime:
        """Return the time by the database's clock, as it was at the last heartbeat."""
        assert self._line is not None
        return self._line + timedelta(seconds=elapsed())

    def beat(self) -> None:
        """Say that this node is alive. Raises NodeFenced if it takes part no more, or StoreError.

        For one thread.
        """
        asked = elapsed()
        try:
            beat = self._store.nodes.beat(self.member)
        except StoreError as error:
            self._answered_since = math.inf
            if isinstance(error, NodeFenced):
                self.lease.end()
            raise
        self._answered_since = min(self._answered_since, asked)
        if beat.backend != self._connected[0] or self._answered_since == asked:
            self._connected = (beat.backend, asked)
        self.lease.renew(asked)
        answered = elapsed()
        if answered - asked <= _ROUND_TRIP or self._line is None:
            self._line = beat.now - timedelta(seconds=(asked + answered) / 2)
        self._ended = beat.ended
        if asked - self._looked_at >= LOOK_EVERY.total_seconds():
            self._look(asked)
        if self.silent_ones():
            self.silent_wake.set()

    def _look(self, at: float) -> None:
        seen = self._store.nodes.seen()
        self._nodes, self._duties, self._looked_at = seen.nodes, seen.duties, at
        before = self._watched
        self._watched = {
            each.member: known
            if (known := before.get(each.member)) and known.seen_at == each.seen_at
            else _SeenNode(each.seen_at, at)
            for each in seen.nodes
        }

    def silent_ones(self) -> list[Member]:
        """Return the nodes whose work may be taken over.

        After a server has restarted, or another one stands in for it, all connections have ended,
        and the clock may be another: then nobody's work is, until this node has watched.
        """
        at, watched_for = elapsed(), WATCHED_FOR.total_seconds()
        is_steady = at - self._connected[1] >= CONNECTED_FOR.total_seconds()
        ended = self._ended if is_steady else ()
        silent = self._silent(at) if at - self._answered_since >= watched_for else ()
        return [each for each in {*ended, *silent} if each != self.member]

    def _silent(self, at: float) -> list[Member]:
        now, watched_for, watched = self.now(), WATCHED_FOR.total_seconds(), self._watched
        return [
            each.member
            for each in self._nodes
            if each.takes_part
            and now - each.seen_at >= SILENT_AFTER
            and each.member in watched  # or a heartbeat is just bringing others
            and at - watched[each.member].since >= watched_for
        ]

    def has(self, duty: str) -> bool:
        """Whether this node has the duty; it takes one that is free. Raises StoreError."""
        if not self.runs():
            return False
        holder = self._duties.get(duty)
        if holder == self.member:
            return True
        if holder in {each.member for each in self._nodes if each.takes_part}:
            return False
        with self._taking:
            holder = self._store.nodes.take_duty(duty, self.member)
            self._duties = {**self._duties, duty: holder}
        if holder == self.member:
            _log.info("this node has a duty now", duty=duty)
        return holder == self.member

    def age(self) -> float:
        """Return the seconds since the database answered."""
        return self.lease.age()

    def alive(self) -> int:
        """Return how many nodes take part and are heard of, as the last heartbeat saw it."""
        now = self.now()
        return sum(each.takes_part and not each.silent(now) for each in self._nodes)

    def living(self) -> Sequence[str]:
        """Return the nodes that are alive, as the last heartbeat saw it; this one always is."""
        now = self.now()
        others = (each for each in self._nodes if each.takes_part and not each.silent(now))
        return sorted({self.node, *(each.name for each in others)})

    def duties(self) -> list[str]:
        """Return the duties of this node."""
        return sorted(name for name, holder in self._duties.items() if holder == self.member)

    def beats(self, done: threading.Event) -> None:
        """Send heartbeats until `done` is set, or this node takes part no more.

        While the database does not answer, it is asked again and again.
        """
        lost = False
        while not done.wait(BEAT_EVERY.total_seconds()):
            try:
                self.beat()
                if lost:
                    _log.info("the database answers heartbeats again")
                lost = False
            except NodeFenced as error:
                self._end(error)
                return
            except StoreError as error:
                if not lost:
                    _log.warning("the database does not answer heartbeats", reason=str(error))
                lost = True
            except Exception:
                self._end(NodeFenced("this node's heartbeats failed; see the log"))
                raise

    def _end(self, reason: NodeFenced) -> None:
        self.lease.end()
        self.fenced = reason
        self.silent_wake.set()

    def watch(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        """Take over the work of silent nodes, and free duties, until `stopping` is set.

        Raises NodeFenced if others have taken over that of this one, or StoreError.
        """
        while not stopping.is_set():
            self.silent_wake.wait(LOOK_EVERY.total_seconds())
            beat()
            if self.fenced:
                raise self.fenced
            if not self.silent_wake.is_set() or stopping.is_set():
                self._take_free_duties()
                continue
            self.silent_wake.clear()
            taken = self._store.nodes.take_over(self.silent_ones())
            for node, claims in taken.items():
                self.takeovers += 1
                _log.error("a silent node's work is taken over", node=node, deliveries=claims)
            if taken:
                self.on_released()

    def _take_free_duties(self) -> None:
        """Take what nobody does, also what is seldom asked for."""
        for duty in Duty:
            self.has(duty)

    def leave(self) -> None:
        """Take part no more, after all work has ended. Raises StoreError."""
        self.lease.end()
        self._store.nodes.leave(self.member)


def sole_process() -> NodeRole:
    """Return what a process is that has the store for itself."""
    return SoleProcess(process_name())


def new_lease(settings: StoreSettings) -> Lease:
    """Return the lease of a node, which does not run yet; without nodes, one that always does."""
    if not settings.is_file:
        return Lease(LEASE.total_seconds(), FRESH.total_seconds())
    lease = Lease(math.inf, math.inf)
    lease.renew(elapsed())
    return lease


@contextmanager
def taking_part(store: Store, settings: StoreSettings, lease: Lease) -> Iterator[Membership | None]:
    """Be a node of a shared store until the block ends; yields None where there are no nodes.

    Call it with the store's lock held. Raises StoreError if another process has the node's name.
    """
    if not store.is_shared:
        yield None
        return
    found = Membership(store, settings.node_name, lock_identity(lock_path(settings.beside)), lease)
    found.join()
    tell_pauses(store)
    done = threading.Event()
    thread = threading.Thread(target=found.beats, args=(done,), name=NODE, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        try:
            found.leave()
        except NodeFenced:  # the others have noticed
            pass
        except StoreError as error:
            _log.warning("the other nodes notice the end of this one later", reason=str(error))


@contextmanager
def having(duty: Duty, store: Store, settings: StoreSettings) -> Iterator[None]:
    """Have a duty until the block ends, for a command; it takes part as this machine's node.

    Call it with the store's lock held. Raises OperatorError if another node has the duty, and
    StoreError as `taking_part` does.
    """
    for each in store.nodes.states():  # or a machine that is no node would be one from now on
        if each.node.takes_part and duty in each.duties:
            raise _has_it(each.node.name, duty)
    with taking_part(store, settings, new_lease(settings)) as node:
        if node and (holder := store.nodes.take_duty(duty, node.member)) != node.member:
            raise _has_it(holder.node, duty)
        yield


def _has_it(node: str, duty: Duty) -> OperatorError:
    return OperatorError(
        f"The node {node} does this by itself: it has the duty `{duty}`; leave it to that node, or "
        "stop all nodes first"
    )


def lock_identity(path: Path) -> str:
    """Return what identifies a lock file while this machine runs; empty if that cannot be seen.

    Whoever holds the lock knows that the process that held it before has ended, with its workers.
    """
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        found = path.stat()
    except OSError:
        return ""
    return f"{booted} {found.st_dev}:{found.st_ino}"


def _taken(node: NodeRow) -> str:
    return (
        f"another process works as the node {node.name}: on {node.host}, process {node.pid}; stop "
        "it, or give this one another name in [store] node"
    )
