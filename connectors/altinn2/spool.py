"""Keep attachments on disk until they are read: Altinn 2 sends them all inside the letter.

The files have no names, so a process that dies leaves nothing behind.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK = 256 * 1024


class Spooled:
    """The bytes of one attachment, on disk.

    `read` may be called from several threads, and more than once.
    """

    def __init__(self) -> None:
        # it outlives this call; `close` ends it
        self.file = tempfile.TemporaryFile()  # noqa: SIM115

    @contextmanager
    def read(self) -> Iterator[Iterator[bytes]]:
        """Open the bytes from the start, readable to their end even if the spool closes meanwhile.

        Raises ValueError if it is closed already.
        """
        copy = os.dup(self.file.fileno())
        try:
            yield _chunks(copy)
        finally:
            os.close(copy)

    def close(self) -> None:
        """Delete the bytes. May be called twice."""
        self.file.close()


class Spool:
    """The attachments of the last few letters, by the letter's key and then the attachment's.

    All methods may be called from any thread.
    """

    def __init__(self, letters: int) -> None:
        self._most = letters
        self._letters: OrderedDict[str, dict[str, Spooled]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, letter: str, parts: dict[str, Spooled]) -> None:
        """Keep a letter's attachments, replacing those kept before."""
        with self._lock:
            _close(self._letters.pop(letter, {}))
            self._letters[letter] = parts
            while len(self._letters) > self._most:
                _close(self._letters.popitem(last=False)[1])

    def has(self, letter: str) -> bool:
        """Return whether the letter's attachments are kept here."""
        with self._lock:
            return letter in self._letters

    @contextmanager
    def read(self, letter: str, part: str) -> Iterator[Iterator[bytes] | None]:
        """Open the attachment's bytes; None if they are no longer here."""
        with self._lock:
            found = self._letters.get(letter, {}).get(part)
            opened = found.read() if found else None
            chunks = opened.__enter__() if opened else None
        try:
            yield chunks
        finally:
            if opened:
                opened.__exit__(None, None, None)

    def clear(self) -> None:
        """Delete everything."""
        with self._lock:
            for parts in self._letters.values():
                _close(parts)
            self._letters.clear()


def _close(parts: dict[str, Spooled]) -> None:
    for part in parts.values():
        part.close()


def _chunks(descriptor: int) -> Iterator[bytes]:
    place = 0
    while chunk := os.pread(descriptor, _CHUNK, place):
        place += len(chunk)
        yield chunk
