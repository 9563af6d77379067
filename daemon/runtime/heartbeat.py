"""Heartbeats: which threads of the service are alive, and which hang.

A thread that works sends heartbeats; one that waits says for how long. A thread whose heartbeat is
overdue hangs, and the service must not look healthy then. A long delivery does not count as hung:
every chunk of a letter that is read for it is a heartbeat.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import FileIO
from typing import Any, BinaryIO, cast

from daemon.core.letter_batch import FetchesTogether, LetterBatch, LetterRequest, Sink
from daemon.core.model import Letter, LetterRef, Part
from daemon.core.openings import OpensStored
from daemon.core.ports import Channel, Finding, Listing, Mailbox, TellsPublishing

OUTBOX = "outbox"  # the name under which deliveries send heartbeats
# seconds without a heartbeat after which a loop hangs; every single call that it makes has a
# shorter timeout
LOOP_TIMEOUT = 900.0
HEARTBEAT_INTERVAL = 10.0  # seconds between the heartbeats of a thread that only answers others
# the same as LOOP_TIMEOUT for a worker process, which is asked more often than that
WORKER_TIMEOUT = 60.0
# and for one delivery, whose connector may have handed all bytes to a slow network
TASK_TIMEOUT = 3600.0

Heartbeat = Callable[[], None]


class Heartbeats:
    """The heartbeats of one service.

    All methods may be called from any thread; `clock` counts seconds from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._excused_until = 0.0

    def beat(self, name: str, seconds: float = LOOP_TIMEOUT) -> None:
        """Note a heartbeat of `name`, which hangs unless the next one comes within `seconds`."""
        with self._lock:
            self._until[name] = self._clock() + seconds

    def beat_for_wait(self, name: str, seconds: float) -> None:
        """Note a heartbeat of `name`, which now waits for up to `seconds`."""
        self.beat(name, seconds + LOOP_TIMEOUT)

    @contextmanager
    def task(self, name: str, seconds: float = TASK_TIMEOUT) -> Iterator[Heartbeat]:
        """Follow something that has an end; yields what to call whenever it makes progress.

        It hangs if that takes longer than `seconds`.
        """

        def beat() -> None:
            self.beat(name, seconds)

        beat()
        try:
            yield beat
        finally:
            with self._lock:
                self._until.pop(name, None)

    def excuse(self, seconds: float) -> None:
        """Do not count the last `seconds`, which were spent waiting for what all threads need.

        Seconds in which several threads waited are taken off once.
        """
        now = self._clock()
        with self._lock:
            passed = now - max(now - seconds, min(self._excused_until, now))
            self._excused_until = now
            self._until = {name: until + passed for name, until in self._until.items()}

    def stalled(self) -> list[str]:
        """Return the names of those whose heartbeat is overdue."""
        now = self._clock()
        with self._lock:
            return sorted(name for name, until in self._until.items() if until < now)


class HeartbeatFile(io.RawIOBase):
    """A file whose every read sends a heartbeat."""

    def __init__(self, file: FileIO, beat: Heartbeat) -> None:
        self._file, self._beat = file, beat

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True, as for other files."""
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
        """Send a heartbeat, and read some of the file."""
        self._beat()
        return self._file.readinto(buffer)

    def read(self, size: int = -1) -> bytes:
        """Send a heartbeat, and read at most so many bytes, or the rest."""
        if size < 0:
            return self.readall()
        self._beat()
        return self._file.read(size)

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()


def with_heartbeat(file: FileIO, beat: Heartbeat) -> BinaryIO:
    """Return the same file, sending a heartbeat at every read from the disk."""
    return cast("BinaryIO", HeartbeatFile(file, beat))


class HeartbeatMailbox:
    """A mailbox whose every call, and every chunk of an attachment, sends a heartbeat."""

    def __init__(self, mailbox: Mailbox, beat: Heartbeat) -> None:
        self._mailbox, self._beat = mailbox, beat
        self.name = mailbox.name

    def channels(self) -> Sequence[Channel]:
        """As the mailbox does."""
        self._beat()
        return self._mailbox.channels()

    def earliest(
        self, channel: Channel, position: datetime | None, now: datetime
    ) -> datetime | None:
        """As the mailbox does."""
        self._beat()
        return self._mailbox.earliest(channel, position, now)

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """As the mailbox does."""
        self._beat()
        return self._mailbox.list(channel, since)

    def fetch(self, ref: LetterRef) -> Letter:
        """As the mailbox does."""
        self._beat()
        return self._mailbox.fetch(ref)

    @contextmanager
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        """As the mailbox does."""
        with self._mailbox.open_part(ref, part) as chunks:
            yield map(self._pass_on, chunks)

    def mark_read(self, ref: LetterRef) -> None:
        """As the mailbox does."""
        self._beat()
        self._mailbox.mark_read(ref)

    def confirm(self, ref: LetterRef) -> None:
        """As the mailbox does."""
        self._beat()
        self._mailbox.confirm(ref)

    def confirmed(self, ref: LetterRef) -> bool:
        """As the mailbox does."""
        self._beat()
        return self._mailbox.confirmed(ref)

    def check(self) -> Iterator[Finding]:
        """As the mailbox does."""
        self._beat()
        return self._mailbox.check()

    def close(self) -> None:
        """As the mailbox does."""
        self._beat()
        self._mailbox.close()

    def _pass_on(self, chunk: bytes) -> bytes:
        self._beat()
        return chunk


class HeartbeatPublishingMailbox(HeartbeatMailbox):
    """The same for a mailbox that knows when a letter was published."""

    def __init__(self, mailbox: Mailbox, source: TellsPublishing, beat: Heartbeat) -> None:
        super().__init__(mailbox, beat)
        self._source = source

    def published(self, ref: LetterRef) -> datetime:
        """As the mailbox does."""
        self._beat()
        return self._source.published(ref)


class HeartbeatOpeningMailbox(HeartbeatMailbox):
    """The same for a mailbox that opens stored letters."""

    def __init__(self, mailbox: Mailbox, source: OpensStored, beat: Heartbeat) -> None:
        super().__init__(mailbox, beat)
        self._source = source

    def open_stored(self, ref: LetterRef) -> Letter:
        """As the mailbox does."""
        self._beat()
        return self._source.open_stored(ref)


class HeartbeatBatchMailbox(HeartbeatPublishingMailbox):
    """The same for one that also makes many calls at once."""

    def __init__(
        self, mailbox: Mailbox, source: TellsPublishing, together: FetchesTogether, beat: Heartbeat
    ) -> None:
        super().__init__(mailbox, source, beat)
        self._together = together

    @contextmanager
    def batch(self, at_once: int) -> Iterator[LetterBatch]:
        """As the mailbox does."""
        self._beat()
        with self._together.batch(at_once) as batch:
            yield _HeartbeatBatch(batch, self._beat)


class _HeartbeatBatch:
    """A batch whose every result, and every chunk of an attachment, sends a heartbeat."""

    def __init__(self, batch: LetterBatch, beat: Heartbeat) -> None:
        self._batch, self._beat = batch, beat
        self._requests: dict[LetterRequest, LetterRequest] = {}

    def add(self, request: LetterRequest) -> None:
        inner = replace(request, into=partial(self._begin, request.into) if request.into else None)
        self._requests[inner] = request
        self._batch.add(inner)

    def __iter__(self) -> Iterator[tuple[LetterRequest, Letter | Exception | None]]:
        for inner, outcome in self._batch:
            self._beat()
            yield self._requests.pop(inner), outcome

    def _begin(self, into: Callable[[], Sink]) -> Sink:
        sink = into()

        def take(chunk: bytes) -> None:
            self._beat()
            sink(chunk)

        return take


def mailbox_with_heartbeat(mailbox: Mailbox, beat: Heartbeat) -> Mailbox:
    """Return the mailbox, sending heartbeats, with what polling may ask of it."""
    if isinstance(mailbox, TellsPublishing):
        if isinstance(mailbox, FetchesTogether):
            return HeartbeatBatchMailbox(mailbox, mailbox, mailbox, beat)
        return HeartbeatPublishingMailbox(mailbox, mailbox, beat)
    if isinstance(mailbox, OpensStored):
        return HeartbeatOpeningMailbox(mailbox, mailbox, beat)
    return HeartbeatMailbox(mailbox, beat)
