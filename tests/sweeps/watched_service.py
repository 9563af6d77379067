"""The service with its worker processes, run so that one of them can be killed exactly before one
system call."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.journeys.conftest import Journey
from tests.processes.system_calls import Call, Watcher, status_of
from tests.processes.warm import Warm, request
from tests.sweeps import aftermath
from tests.sweeps.strike import Point

WORKER, SERVICE, FORK_SERVER = "worker", "service", "fork server"
_PATIENCE = 30.0  # seconds
_STARTED = "service started"
_LOOK = 0.05


@dataclass(kw_only=True)
class _Roles:
    """What each process of a service is."""

    service: int
    known: dict[int, str] = field(default_factory=dict)

    def of(self, pid: int) -> str:
        if pid == self.service:
            return SERVICE
        if pid not in self.known:
            parent = status_of(pid, "PPid")
            self.known[pid] = FORK_SERVER if parent == self.service else WORKER
        return self.known[pid]

    def fork_server(self) -> int:
        return next(pid for pid, role in self.known.items() if role == FORK_SERVER)

    def left(self) -> list[int]:
        """Processes that have not ended."""
        return [pid for pid in (self.service, *self.known) if not _has_ended(pid)]


class WatchedService:
    """One run of the service, watched from its start."""

    def __init__(
        self, warm: Warm, journey: Journey, letters: int, point: Point | None = None
    ) -> None:
        """Start it; kill a process at the point, if there is one."""
        self._warm, self._journey, self._point = warm, journey, point
        self._deliveries = aftermath.PER_LETTER * letters
        self.timed_out = False
        """Whether it did not deliver everything, and did not end either."""
        self._stopping = self.was_stopping = False
        """Whether it is being stopped; and was, when a process was killed."""
        folder = journey.scene.folder
        hold = folder / "go"
        hold.unlink(missing_ok=True)
        os.mkfifo(hold)
        child = warm.start(
            request(journey.scene.configuration, ("run",), hold=str(hold), asks=True)
        )
        self._watcher = Watcher(child)
        hold.write_bytes(b"")
        self._roles = _Roles(service=child)
        self.counted: dict[str, list[str]] = {WORKER: [], SERVICE: [], FORK_SERVER: []}
        """The calls so far, by the role that the point may have."""
        self.struck: Call | None = None
        self._victim = 0
        self.claimed: dict[str, set[str]] = {}
        """What was claimed when the process was killed: deliveries by their owner."""

    def finish(self) -> int:
        """Run it until all is delivered and tidied, and stop it; or until it ends.

        Returns its exit code, or minus the signal that ended it.
        """
        try:
            if self._until(self._is_done):
                self._stopping = True
                os.kill(self._roles.service, signal.SIGTERM)
            else:
                self.timed_out = not _has_ended(self._roles.service)
            self._until(lambda: not self._roles.left())
            for each in self._roles.left():
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
        finally:
            self._watcher.close()
        return self._warm.end()

    def name_of_victim(self) -> str:
        """Return the name of the worker that was killed, as the service wrote it; empty if not."""
        log = (self._journey.scene.folder / "errors.txt").read_text()
        found = re.search(rf"worker='?([^\s']+)'? process={self._victim}\b", log)
        return found[1] if found else ""

    def _until(self, condition: Callable[[], bool]) -> bool:
        """Answer all calls until the condition holds; whether it does before the service ends."""
        ends, looks = time.monotonic() + _PATIENCE, 0.0
        while (now := time.monotonic()) < ends:
            if now >= looks:
                if condition():
                    return True
                if not self._roles.left():
                    return False
                looks = time.monotonic() + _LOOK
            call = self._watcher.next(_LOOK)
            if call and call.pid:  # otherwise it has ended meanwhile
                self._answer(call)
        return False

    def _answer(self, call: Call) -> None:
        role = self._roles.of(call.pid)
        if self._is_relevant(call, role):
            roles = (WORKER, FORK_SERVER) if role == WORKER else (role,)
            for each in roles:
                self.counted[each].append(call.name)
            point = self._point
            if (
                point
                and not self.struck
                and point.command in roles
                and len(self.counted[point.command]) == point.number
            ):
                self._strike(call, point.command)
        self._watcher.go_on(call)

    def _is_relevant(self, call: Call, role: str) -> bool:
        if call.name == "clone":
            return role == FORK_SERVER
        return not call.place.endswith(("errors.txt", "output.txt"))

    def _strike(self, call: Call, role: str) -> None:
        """Kill the process; nobody else gets further before it is seen what was claimed."""
        self.struck, self.was_stopping = call, self._stopping
        self._victim = self._roles.fork_server() if role == FORK_SERVER else call.pid
        os.kill(self._victim, signal.SIGKILL)
        ends = time.monotonic() + _PATIENCE
        while not _has_ended(self._victim) and time.monotonic() < ends:
            time.sleep(0.001)
        self.claimed = _claimed(self._journey.scene.folder)

    def _is_done(self) -> bool:
        """Whether it has started, and all is delivered and tidied. Waits for no lock: its holder
        may wait for us.

        Without its fork server it has to end by itself.
        """
        if self.struck and self._point and self._point.command == FORK_SERVER:
            return False
        folder = self._journey.scene.folder
        if _STARTED not in (folder / "errors.txt").read_text():
            return False
        path = folder / "postmottak.db"
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0)) as connection,
        ):
            (delivered,) = connection.execute(
                "SELECT count(*) FROM deliveries WHERE lower(state) = 'delivered'"
            ).fetchone()
            return delivered == self._deliveries and not aftermath.temporaries(self._journey)
        return False


def _has_ended(pid: int) -> bool:
    with suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state in {"Z", "X"}
    return True


def _claimed(folder: Path) -> dict[str, set[str]]:
    """The deliveries that are claimed, by their owner, read from a copy as the next one would."""
    found: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory(prefix="sweep-copy-") as copy:
        for file in folder.glob("postmottak.db*"):
            if file.is_file():
                shutil.copy(file, copy)
        with closing(sqlite3.connect(Path(copy) / "postmottak.db")) as connection:
            for key, owner in connection.execute(
                "SELECT id, owner FROM deliveries WHERE lower(state) = 'claimed'"
            ):
                found.setdefault(owner, set()).add(key)
    return found
