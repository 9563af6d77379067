"""Signs of life: which threads of the service still turn, and which hang.

Whoever works says so again and again; whoever waits says for how long. A thread that says nothing
for longer than it may has hung, and the service must not look well then. A long delivery is no hung
one: every piece of a letter that is read for it is a sign of life.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from typing import Any, BinaryIO

from daemon.core.model import LetterRef, Part
from daemon.core.ports import Mailbox

OUTBOX = "outbox"  # the name under which deliveries send heartbeats
# seconds without a sign of life after which a loop hangs; every single call that it makes has a
# shorter timeout
LOOP_TIMEOUT = 900.0
HEARTBEAT_INTERVAL = 10.0  # seconds between the signs of life of a thread that only answers others
WORKER_TIMEOUT = (
    60.0  # the same for the agent, which only answers others; it is asked more often than that
)
TASK_TIMEOUT = (
    3600.0  # the same for one delivery, whose connector may have handed all bytes to a slow network
)

Heartbeat = Callable[[], None]


class Heartbeats:
    """The signs of life of one service.

    All methods may be called from any thread; `clock` counts seconds from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._excused_until = 0.0

    def beat(self, name: str, seconds: float = LOOP_TIMEOUT) -> None:
        """A sign of life of `name`; the next one comes within `seconds`, or it has hung."""
        with self._lock:
            self._until[name] = self._clock() + seconds

    def beat_for_wait(self, name: str, seconds: float) -> None:
        """A sign of life of `name`, which now waits for up to `seconds`."""
        self.beat(name, seconds + LOOP_TIMEOUT)

    @contextmanager
    def task(self, name: str) -> Iterator[Heartbeat]:
        """Something that has an end; yields what to call as often as it gets on."""

        def beat() -> None:
            self.beat(name, TASK_TIMEOUT)

        beat()
        try:
            yield beat
        finally:
            with self._lock:
                self._until.pop(name, None)

    def excuse(self, seconds: float) -> None:
        """The last so many seconds were spent waiting for what all threads need, and count for none.

        Those in which several waited at a time are counted once.
        """
        now = self._clock()
        with self._lock:
            passed = now - max(now - seconds, min(self._excused_until, now))
            self._excused_until = now
            self._until = {name: until + passed for name, until in self._until.items()}

    def stalled(self) -> list[str]:
        """Those whose sign of life is overdue, by name."""
        now = self._clock()
        with self._lock:
            return sorted(name for name, until in self._until.items() if until < now)


class HeartbeatFile(io.RawIOBase):
    """A file whose every read is a sign of life."""

    def __init__(self, file: BufferedReader, beat: Heartbeat) -> None:
        self._file, self._beat = file, beat

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes, as files are."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As the file does."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As the file does."""
        return self._file.tell()

    def fileno(self) -> int:
        """The file's own descriptor."""
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        """Read some of it."""
        self._beat()
        return self._file.readinto(buffer)

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()


def with_heartbeat(file: BufferedReader, beat: Heartbeat) -> BinaryIO:
    """The same file, with a sign of life at every read from the disk."""
    return BufferedReader(HeartbeatFile(file, beat))


class HeartbeatMailbox:
    """A mailbox whose every call, and every piece of an attachment, is a sign of life."""

    def __init__(self, mailbox: Mailbox, beat: Heartbeat) -> None:
        self._mailbox, self._beat = mailbox, beat

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._mailbox, name)
        return self._alive(found) if callable(found) else found

    def open_part(self, ref: LetterRef, part: Part) -> AbstractContextManager[Iterator[bytes]]:
        """As the mailbox does."""
        return self._open(ref, part)

    @contextmanager
    def _open(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        with self._mailbox.open_part(ref, part) as chunks:
            yield map(self._alive(lambda chunk: chunk), chunks)

    def _alive(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def alive(*arguments: Any, **named: Any) -> Any:
            self._beat()
            return call(*arguments, **named)

        return alive


def mailbox_with_heartbeat(mailbox: Mailbox, beat: Heartbeat) -> Mailbox:
    """The same mailbox, with signs of life."""
    watched: Any = HeartbeatMailbox(mailbox, beat)
    found: Mailbox = watched
    return found
