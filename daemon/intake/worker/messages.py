"""What the service and a worker process send each other over their pipe, pickled."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.errors import PostmottakError
from daemon.core.pacing import PaceNumbers
from daemon.intake.carrier import Carried, CarryProgress, Work
from daemon.intake.new_letter import MarkPolicies
from daemon.routing.table import Table
from daemon.runtime.process_usage import ProcessUsage


@dataclass(frozen=True, kw_only=True)
class TimeNow:
    """The service's notion of time, so that a worker has the same."""

    line: datetime
    """The time that it was, or would have been, at second 0 of `elapsed`."""
    certain: bool
    """Whether a delivery may be given up by it."""


@dataclass(frozen=True, kw_only=True)
class UseSnapshot:
    """The configuration and the routing table from now on."""

    packed: bytes
    """Packed once for all workers."""


def pack_snapshot(configuration: Configuration, table: Table) -> UseSnapshot:
    """Return the message for workers."""
    what = (configuration, table.text, table.destinations)
    return UseSnapshot(packed=pickle.dumps(what, pickle.HIGHEST_PROTOCOL))


def unpack_snapshot(message: UseSnapshot) -> tuple[Configuration, str, Collection[str] | None]:
    """Return the configuration, the table's text, and the destinations that it may name."""
    configuration, text, names = pickle.loads(message.packed)  # noqa: S301  # from our own service
    return configuration, text, names


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Letters to fetch, store and drop."""

    number: int
    mailbox: str
    policies: MarkPolicies
    work: Work
    at_once: int
    """Calls to the mailbox at a time."""
    usable: Collection[str]
    """Destinations on this machine that work, and for which nothing else waits."""
    time: TimeNow
    processes: int = 1
    """Among which the pace of each client is divided."""
    tokens: Sequence[object] = field(default=(), repr=False)
    """The mailbox's access tokens, if it shares them."""


@dataclass(frozen=True, kw_only=True)
class Ping:
    """The question whether the worker is alive, with the time, which may have been corrected."""

    time: TimeNow


@dataclass(frozen=True, kw_only=True)
class StopWork:
    """Begin no more letters, and finish what is in hand."""


@dataclass(frozen=True, kw_only=True)
class Pong:
    """The answer to a ping."""

    usage: ProcessUsage | None
    stalled: Collection[str]
    """Work in the worker that hangs."""
    paces: Sequence[PaceNumbers] = ()
    """Of its calls since its start."""


@dataclass(frozen=True, kw_only=True)
class ChunkProgress:
    """What one commit of a chunk has brought."""

    number: int
    progress: CarryProgress


@dataclass(frozen=True, kw_only=True)
class ChunkEnded:
    """The result of a chunk."""

    number: int
    outcome: Carried | PostmottakError


FromService = UseSnapshot | Chunk | Ping | StopWork
FromWorker = Pong | ChunkProgress | ChunkEnded
