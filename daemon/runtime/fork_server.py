"""A fork server: a child with one thread that forks worker processes when it is asked to.

A process with threads must not fork: the child would lack the other threads, and what they had
locked would stay locked. So this child is forked before the service has threads, shares what is in
memory then, and forks a worker whenever one is wanted, also in place of one that has died. It is
the workers' parent: it alone kills them, so that a number is never another process's by then.

It holds what the service has opened before it was forked, such as the store's lock (flock(2)), and
ends, with all workers, when the service does, however that ends.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NamedTuple, NoReturn

from daemon.core.errors import WorkerLost

LOST = (
    "the fork server, which starts worker processes, has ended; what was in flight is repeated "
    "when the service is started again"
)
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that are meant for the service: a terminal and systemd send them to all processes."""
_MESSAGE = 512  # bytes of a request or an answer
_NOT_FORKED = b"0"
# seconds for killed processes to end; one in a call to a dead share is left to the system
_PATIENCE = 2.0
_LOOK = 0.01
Work = Callable[[Connection, str], NoReturn]
"""What a worker does with its end of the pipe, until that is closed; and its name."""


class Forked(NamedTuple):
    """A worker process: its id, and the service's end of the pipe to it."""

    pid: int
    pipe: Connection


class ForkServer:
    """The fork server, as the service sees it. May be used from several threads."""

    def __init__(self, work: Work) -> None:
        """Start it. Call this while the process has one thread only."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if not self._pid:
            self._control.close()
            _guarded(lambda: _serve(theirs, work))
        theirs.close()
        self._asking = threading.Lock()
        self._ended = False

    def fork(self, name: str) -> Forked:
        """Fork a worker process. Raises OSError if the system cannot, and WorkerLost."""
        ours, theirs = Pipe()
        with theirs:
            pid = int(self._ask(f"fork {name}".encode(), [theirs.fileno()]))
        if not pid:
            ours.close()
            raise OSError("no process could be started")
        return Forked(pid, ours)

    def kill(self, pid: int) -> None:
        """Kill a worker process, if it has not ended already. Raises WorkerLost."""
        self._ask(f"kill {pid}".encode(), [])

    def has_ended(self) -> bool:
        """Whether it has ended, which it should only after `close`."""
        with self._asking:
            if not self._ended:
                try:
                    self._ended = os.waitpid(self._pid, os.WNOHANG) != (0, 0)
                except ChildProcessError:  # our parent made the system forget children at once
                    self._ended = True
            return self._ended

    def close(self) -> None:
        """End it, and all workers, whatever they are doing. May be called twice."""
        self._control.close()
        ends = time.monotonic() + _PATIENCE
        while not self.has_ended() and time.monotonic() < ends:
            time.sleep(_LOOK)
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _ask(self, what: bytes, descriptors: list[int]) -> bytes:
        with self._asking:
            try:
                socket.send_fds(self._control, [what], descriptors)
                answer = self._control.recv(_MESSAGE)
            except OSError as error:
                raise WorkerLost(LOST) from error
        if not answer:
            raise WorkerLost(LOST)
        return answer


def _serve(control: socket.socket, work: Work) -> NoReturn:
    """Carry requests out until the service has closed its end."""
    for each in IGNORED:
        signal.signal(each, signal.SIG_IGN)
    children: set[int] = set()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(children))
    while True:
        request, descriptors, *_ = socket.recv_fds(control, _MESSAGE, 1)
        what, _, about = request.decode().partition(" ")
        match what:
            case "fork":
                answer = _fork(control, work, children, descriptors, about)
            case "kill":
                answer = _kill(children, int(about))
            case _:
                for child in list(children):
                    _kill(children, child)
                os._exit(0)
        with suppress(OSError):  # the service has ended, which the next call says
            control.send(answer)


def _fork(
    control: socket.socket, work: Work, children: set[int], descriptors: list[int], name: str
) -> bytes:
    """Fork a worker; return its id, or `_NOT_FORKED`."""
    (descriptor,) = descriptors
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # until it is among the children
    try:
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            control.close()
            _guarded(lambda: work(Connection(descriptor), name))
        children.add(pid)
    except OSError:
        return _NOT_FORKED
    finally:
        os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return str(pid).encode()


def _kill(children: set[int], pid: int) -> bytes:
    """Kill a child that has not been waited for, so that its id is nobody else's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if pid in children:
        os.kill(pid, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return b"done"


def _reap(children: set[int]) -> None:
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
            children.discard(pid)


def _guarded(work: Callable[[], NoReturn]) -> NoReturn:
    """Do the work of a child, and never return to what its parent was about to do."""
    try:
        work()
    except BaseException:  # noqa: BLE001  # nothing may get past this point
        end_with_traceback()


def end_with_traceback() -> NoReturn:
    """End this process at once after an unexpected error."""
    try:
        traceback.print_exc()
    finally:
        os._exit(1)  # even if the traceback cannot be written
