"""Stops every process of a command before each system call that matters, and asks what to do.

The kernel asks (seccomp(2), `SECCOMP_RET_USER_NOTIF`): the call waits, in whichever thread of
whichever process, until the one who watches has answered. So calls are counted over all threads,
which strace cannot, and a process can be killed exactly before one of them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import select
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NUMBERS: Mapping[str, int] = {
    "write": 1,
    "writev": 20,
    "pwrite64": 18,
    "pwritev": 296,
    "fsync": 74,
    "fdatasync": 75,
    "syncfs": 306,
    "ftruncate": 77,
    "copy_file_range": 326,
    "mkdir": 83,
    "mkdirat": 258,
    "rmdir": 84,
    "rename": 82,
    "renameat": 264,
    "renameat2": 316,
    "link": 86,
    "linkat": 265,
    "unlink": 87,
    "unlinkat": 263,
    "connect": 42,
    "sendto": 44,
    "sendmsg": 46,
    "clone": 56,
}
"""Calls by their number on x86_64, the only machine that this knows."""
_NAMES = {number: name for name, number in NUMBERS.items()}
_WITH_DESCRIPTOR = ("write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate")
_FIXED = 200
"""The descriptor under which a watched process leaves the listener to the one who watches."""
_AUDIT_X86_64, _SECCOMP, _PIDFD_GETFD = 0xC000003E, 317, 438
_SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 8, 32
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _CONTINUE = 0xC0502100, 0xC0182101, 1
_NO_NEW_PRIVILEGES = 38
_ASKED, _ANSWER, _INSTRUCTION = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI"), "=HBBI"
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_PATIENCE = 10.0  # seconds
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that waits for an answer, of a thread of the process `pid`; 0 if that has ended."""

    key: int
    pid: int
    name: str
    place: str
    """The file or socket that it is on, where that is known."""


def ask_before_each() -> None:
    """Have the kernel ask before each call of this process and its descendants, for ever.

    The listener is `_FIXED`; close it with `leave_to_watcher` once the watcher has it.
    """
    program = b"".join(struct.pack(_INSTRUCTION, *each) for each in _filter())
    code = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(
        struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    )
    _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    listener = _checked(_libc.syscall(_SECCOMP, _SET_FILTER, flags, filter_))
    os.dup2(listener, _FIXED)
    os.close(listener)


def leave_to_watcher() -> None:
    """Close the listener here: if the watcher ends, calls then fail instead of waiting."""
    os.close(_FIXED)


def _filter() -> list[tuple[int, int, int, int]]:
    last = len(NUMBERS)
    return [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 0, last + 1, _AUDIT_X86_64),
        (_LOAD, 0, 0, 0),
        *((_IF_EQUAL, last - place, 0, number) for place, number in enumerate(NUMBERS.values())),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ASK),
    ]


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Watcher:
    """Receives the calls of a process that has called `ask_before_each`. For one thread."""

    def __init__(self, pid: int) -> None:
        """Take over the listener. Raises OSError if there is none."""
        ends = time.monotonic() + _PATIENCE
        while not Path(f"/proc/{pid}/fd/{_FIXED}").is_symlink() and time.monotonic() < ends:
            time.sleep(0.001)
        process = os.pidfd_open(pid)
        try:
            self._listener = _checked(_libc.syscall(_PIDFD_GETFD, process, _FIXED, 0))
        finally:
            os.close(process)
        self._processes: dict[int, int] = {}

    def next(self, seconds: float) -> Call | None:
        """Return the next call; None if none comes in so many seconds."""
        if not select.select([self._listener], [], [], seconds)[0]:
            return None
        buffer = bytearray(_ASKED.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
        except OSError:  # the process was killed meanwhile, or all have ended
            time.sleep(0.001)
            return None
        key, thread, _, number, _, _, first, *_ = _ASKED.unpack(buffer)
        name = _NAMES[number]
        place = _place(thread, first) if name in _WITH_DESCRIPTOR else ""
        return Call(key=key, pid=self._process(thread), name=name, place=place)

    def go_on(self, call: Call) -> None:
        """Let the call be made."""
        with suppress(OSError):  # the process was killed meanwhile
            fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(call.key, 0, 0, _CONTINUE))

    def close(self) -> None:
        """Answer nothing more."""
        os.close(self._listener)

    def _process(self, thread: int) -> int:
        if thread not in self._processes:
            self._processes[thread] = status_of(thread, "Tgid")
        return self._processes[thread]


def status_of(pid: int, field: str) -> int:
    """A number in /proc/PID/status; 0 if the process has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
    return 0


def _place(thread: int, descriptor: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{thread}/fd/{descriptor}").readlink())
    return ""


def why_not() -> str:
    """Why the kernel cannot ask here; empty if it can."""
    if platform.machine() != "x86_64":
        return f"the numbers of the calls are not known on {platform.machine()}"
    pid = os.fork()
    if not pid:
        try:
            ask_before_each()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"seccomp(2) is refused: {os.strerror(code)}" if code else ""


if __name__ == "__main__":
    sys.exit(why_not())
