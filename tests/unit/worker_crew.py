"""A pool of workers that are threads and do as a test's script says."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from daemon.core.backoff import Backoff
from daemon.core.errors import DiskFull
from daemon.core.model import LetterRef
from daemon.core.pacing import PaceNumbers
from daemon.intake.carrier import Carried, CarryProgress
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.worker.messages import (
    Chunk,
    ChunkEnded,
    ChunkProgress,
    Ping,
    Pong,
    TimeNow,
    UseSnapshot,
)
from daemon.intake.worker.worker_client import WorkerClient
from daemon.intake.worker.worker_pool import WorkerPool
from daemon.intake.worker.worker_supervisor import WorkerSupervisor
from daemon.runtime.fork_server import Forked
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import NOW, TAX, Clock, active_snapshot, new_intake
from tests.unit.memory_batch import BatchMailbox

SECONDS = 20.0
Script = Callable[[Chunk], Carried | Exception | None]
"""What a worker does with a chunk: an outcome, an error, or None to end without a word."""


def carries(chunk: Chunk) -> Carried:
    """Carry all."""
    return Carried(stored=len(chunk.work))


@dataclass
class Threads:
    """A fork server whose workers are threads that do as the script says."""

    script: Script = carries
    pinged: list[TimeNow] = field(default_factory=list)
    """The times that workers were told."""
    fails: int = 0
    """How many forks fail first."""
    paces: Sequence[PaceNumbers] = ()
    """What each worker says of its calls."""
    ends_after_progress: int = 0
    """How many workers end after they have stored something."""
    slow: str = ""
    """A letter that does not come until the test says so."""
    held: list[Callable[[], None]] = field(default_factory=list)
    """What ends its chunk; all others of the chunk are stored."""
    lost: bool = False
    dying: float = 0.0
    """Seconds between a kill and the end."""
    forked: list[str] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    snapshots: list[UseSnapshot] = field(default_factory=list)
    pipes: dict[int, Connection] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fork(self, name: str) -> Forked:
        """Start a thread."""
        if self.fails:
            self.fails -= 1
            raise OSError("no room")
        ours, theirs = Pipe()
        self.forked.append(name)
        self.pipes[len(self.forked)] = theirs
        threading.Thread(target=self._work, args=(theirs,), daemon=True).start()
        return Forked(len(self.forked), ours)

    def kill(self, pid: int) -> None:
        """End it."""
        self.killed.append(pid)
        threading.Timer(self.dying, self.pipes[pid].close).start()

    def has_ended(self) -> bool:
        """As the test says."""
        return self.lost

    def _work(self, pipe: Connection) -> None:
        with suppress(EOFError, OSError), pipe:
            while True:
                while not pipe.poll(0.02):
                    if pipe.closed:
                        return
                message = pickle.loads(pipe.recv_bytes())
                if isinstance(message, Ping):
                    self.pinged.append(message.time)
                    pong = Pong(usage=None, stalled=(), paces=self.paces)
                    pipe.send_bytes(pickle.dumps(pong))
                if isinstance(message, UseSnapshot):
                    self.snapshots.append(message)
                if isinstance(message, Chunk) and not self._carried(pipe, message):
                    return

    def _carried(self, pipe: Connection, chunk: Chunk) -> bool:
        with self.lock:
            self.chunks.append(chunk)
        outcome: Any = self.script(chunk)
        if outcome is None:
            return False
        is_slow = self.slow in ids(chunk)
        progress = CarryProgress(stored=len(chunk.work) - is_slow, left=False)
        pipe.send_bytes(pickle.dumps(ChunkProgress(number=chunk.number, progress=progress)))
        if self.ends_after_progress:
            self.ends_after_progress -= 1
            return False
        ended = pickle.dumps(ChunkEnded(number=chunk.number, outcome=outcome))
        if is_slow:
            self.held.append(partial(pipe.send_bytes, ended))
        else:
            pipe.send_bytes(ended)
        return True


@dataclass
class Crew:
    """A pool of workers that are threads, with a supervisor at work."""

    store: Store
    content: ContentFolder
    server: Threads
    number: int = 2
    released: list[tuple[str, bool]] = field(default_factory=list)
    trouble: list[bool] = field(default_factory=list)
    reported: list[CarryProgress] = field(default_factory=list)
    full: list[DiskFull] = field(default_factory=list)
    """Raised by the next releases."""
    failure: list[BaseException] = field(default_factory=list)
    time: TimeNow = field(default_factory=lambda: TimeNow(line=NOW, certain=True))
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.supervisor = WorkerSupervisor(
            self.server,
            self.number,
            time_now=lambda: self.time,
            release=self._release,
            backoff=Backoff(timedelta(seconds=0.05), timedelta(seconds=0.1)),
            on_trouble=self.trouble.append,
        )
        self.pool = WorkerPool(
            self.supervisor,
            new_intake(self.store, self.content, Clock()).here,
            active=active_snapshot({}),
            time_now=lambda: self.time,
            usable=lambda: ["erp"],
            note_local=lambda _: None,
            heartbeats=Heartbeats(),
        )
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        try:
            self.supervisor.loop(self.stopping, lambda: None)
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.failure.append(error)

    def _release(self, worker: WorkerClient, *, stopped: bool) -> None:
        if self.full:
            raise self.full.pop()
        self.released.append((worker.name, stopped))

    def carry(self, letters: Sequence[str]) -> Carried:
        """Have letters carried."""
        work = [(TAX, ref_of(each)) for each in letters]
        return self.pool.carry(
            BatchMailbox(), MarkPolicies(), work, self.stopping, self.reported.append
        )

    def end(self) -> None:
        """Stop in order."""
        self.stopping.set()
        self.supervisor.wake()
        self._thread.join(SECONDS)
        self.supervisor.close()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for it, not for ever."""
        ends = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < ends
            time.sleep(0.01)


def ref_of(external_id: str) -> LetterRef:
    """A letter's reference."""
    return LetterRef(
        mailbox="altinn",
        party=TAX.party,
        service=TAX.service,
        resource=TAX.resource,
        external_id=external_id,
    )


def ids(chunk: Chunk) -> list[str]:
    """The letters of a chunk."""
    return [ref.external_id for _, ref in chunk.work]


LETTERS = [f"{number:03}" for number in range(200)]
