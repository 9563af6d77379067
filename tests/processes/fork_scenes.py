"""Scenes with a fork server, for a process of their own: workers that say what they are."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from daemon.core.errors import WorkerLost
from daemon.runtime.fork_server import IGNORED, ForkServer

SECONDS = 20.0


def answer(pipe: Connection, name: str) -> NoReturn:
    """Answer each message with this process's id and name, until nobody asks."""
    for each in IGNORED:
        signal.signal(each, signal.SIG_IGN)
    while True:
        try:
            pipe.recv()
        except (EOFError, OSError):
            os._exit(0)
        pipe.send([os.getpid(), name])


def fail(_pipe: Connection, _name: str) -> NoReturn:
    """Fail in a way that nobody foresaw."""
    raise ZeroDivisionError


def asked(pipe: Connection) -> Any:
    """What a worker answers; nothing if it has ended."""
    try:
        pipe.send("?")
        return pipe.recv()
    except (EOFError, OSError):
        return None


def replaced(_folder: str) -> Any:
    """Two workers, of which one is killed, by this process and by the fork server, and forked
    again; and what is asked when the fork server itself was killed."""
    server = ForkServer(answer)
    one, other = server.fork("one"), server.fork("other")
    facts: dict[str, Any] = {"answers": [asked(one.pipe), asked(other.pipe)]}
    facts["expected"] = [[one.pid, "one"], [other.pid, "other"]]
    os.kill(one.pid, signal.SIGKILL)
    facts["dead"] = asked(one.pipe)
    new = server.fork("new")
    facts["new"] = asked(new.pipe) == [new.pid, "new"]
    server.kill(new.pid)
    facts["killed"] = asked(new.pipe)
    wait_until(lambda: not is_there(new.pid))
    server.kill(new.pid)  # nothing happens: it was waited for
    facts["other"] = asked(other.pipe) == [other.pid, "other"]
    server.close()
    facts["ended"] = [server.has_ended(), asked(other.pipe)]
    return facts


def signals(_folder: str) -> Any:
    """Workers and the fork server outlive the signals that are the service's."""
    server = ForkServer(answer)
    one = server.fork("one")
    (parent,) = children(os.getpid())
    for each in IGNORED:
        os.kill(parent, each)
        os.kill(one.pid, each)
    lasted = asked(one.pipe) == [one.pid, "one"] and asked(server.fork("two").pipe) is not None
    os.kill(parent, signal.SIGKILL)
    wait_until(server.has_ended)
    told = [asked(one.pipe) is not None]  # it ends with the service, and not before
    for ask in (partial(server.fork, "three"), partial(server.kill, one.pid)):
        try:
            ask()
        except WorkerLost as error:
            told.append("has ended" in str(error))
    server.close()
    return {"lasted": lasted, "told": told}


def unforeseen(_folder: str) -> Any:
    """A worker that fails ends, and the fork server goes on."""
    server = ForkServer(fail)
    first, second = server.fork("one"), server.fork("two")
    told = [asked(first.pipe), asked(second.pipe), first.pid != second.pid]
    server.close()
    return told


def killed_service(folder: str) -> None:
    """A service with the store's lock that is killed; tells the ids of its descendants."""
    from daemon.store.lock import InstanceLock  # takes longer to import than the other scenes

    InstanceLock(Path(folder) / "x.db")
    server = ForkServer(answer)
    some = [server.fork(name) for name in ("one", "two")]
    assert all(asked(each.pipe) for each in some)
    sys.stdout.write(f"{' '.join(str(each.pid) for each in some)}\n")
    sys.stdout.flush()
    os.kill(some[1].pid, signal.SIGSTOP)  # it cannot end by itself
    os.kill(os.getpid(), signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that it has started and that are there."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_there(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    ends = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
