"""Kills the asking for a late file before and after each of its steps, and finishes it afterwards.

    python -m tests.processes.late_files FOLDER

Prints a line for each point that was struck, and what was wrong after it; one process, without
threads, because it forks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

from daemon.core.errors import PartUnavailable
from daemon.core.model import PartState
from daemon.intake.late_files import LateFiles
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.missing_files import MissingFiles
from tests.unit.claiming import ENDS, LEASE
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, Clock, new_intake
from tests.unit.memory import MemoryMailbox
from tests.unit.test_late_files import KEY, Desk

STEPS = (
    (ContentFolder, "stage"),
    (ContentFolder, "publish"),
    (MissingFiles, "came"),
    (MissingFiles, "settle"),
)


def main() -> int:
    """Strike every point; return 1 if something was wrong."""
    base, wrong = Path(sys.argv[1]), 0
    _begin(base / "0")
    for point in range(1, 2 * len(STEPS) + 1):
        folder = base / str(point)
        shutil.copytree(base / "0", folder)
        pid = os.fork()
        if not pid:
            _arm(point)
            _ask(_desk(folder))
            os._exit(0)
        struck = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        faults = _judge(folder) if struck else ["it was not struck"]
        wrong += len(faults)
        sys.stdout.write(f"{point}: {'; '.join(faults) or 'right'}\n")
        sys.stdout.flush()
    return 1 if wrong else 0


def _desk(folder: Path) -> Desk:
    store, clock = Store(f"sqlite:///{folder / 'postmottak.db'}"), Clock(NOW)
    content = ContentFolder(folder / "content")
    desk = Desk(store, content, clock, new_intake(store, content, clock, workers=1))
    desk.mailbox = MemoryMailbox()
    desk.mailbox.publish("a", b"what was sent")
    return desk


def _begin(folder: Path) -> None:
    """Store and deliver a letter without its file."""
    folder.mkdir()
    desk = _desk(folder)
    desk.store.letters.note_table(TABLE.version, TABLE_TEXT, NOW)
    error = PartUnavailable("not yet", state=PartState.UNAVAILABLE, retry=True)
    desk.mailbox.fails["open_part", "a/1"] = repeat(error)
    desk.poll()
    desk.end()
    desk.store.close()


def _ask(desk: Desk) -> None:
    desk.clock.advance(minutes=5)
    work = LateFiles(store=desk.store, fetcher=desk.intake.fetcher, clock=desk.clock)
    work.run(desk.mailbox, threading.Event())


def _judge(folder: Path) -> list[str]:
    """Start again, and return what is wrong in the end."""
    desk = _desk(folder)
    for _ in range(3):
        _ask(desk)
        for claim in desk.store.outbox.claim("me", desk.clock(), LEASE, 10):
            ENDS["delivered"](desk.store.outbox, claim)
    state = desk.store.queries.attachments(KEY)[0].state
    generations = [each.generation for each in desk.deliveries]
    desk.store.close()
    faults = [] if state is PartState.PRESENT else [f"the file is {state}"]
    return faults if generations == [1, 2] else [*faults, f"deliveries {generations}"]


def _arm(kill_at: int) -> None:
    """Kill this process before or after the nth step."""
    reached = 0

    def strike() -> None:
        nonlocal reached
        reached += 1
        if reached == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    for holder, name in STEPS:
        setattr(holder, name, _struck(getattr(holder, name), strike))


def _struck(call: Callable[..., object], strike: Callable[[], None]) -> Callable[..., object]:
    def struck(*arguments: object, **named: object) -> object:
        strike()
        result = call(*arguments, **named)
        strike()
        return result

    return struck


if __name__ == "__main__":
    sys.exit(main())
