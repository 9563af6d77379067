"""The bytes of attachments, by their SHA-256: what the rest of the program needs of them.

Durable before anything refers to them, and never whole in memory. Where they lie is a matter of
`content_folder` and `content_bucket`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Protocol

from daemon.core.callbacks import do_nothing
from daemon.core.errors import ContentMissing
from daemon.runtime.owner import open_file
from daemon.store.staging import ContentFile, Kept, Staged, errors_named

PREFIXES = tuple(f"{number:02x}" for number in range(256))
"""The beginnings of hashes."""


class ContentStore(Protocol):
    """The bytes of attachments.

    May be used from several threads. The service and its workers write; other processes use it
    `guarded`.
    """

    place: str
    """Where the bytes are, as an operator would name it."""

    def put(self, chunks: Iterable[bytes]) -> Kept:
        """Store the bytes durably.

        Storing the same bytes again is harmless. Raises StoreError, DiskFull, or what `chunks`
        raises.
        """
        staged = self.stage(chunks)
        self.publish([staged])
        return staged.kept

    def stage(self, chunks: Iterable[bytes]) -> Staged:
        """Write the bytes, for `publish` or `discard`. Raises as `put` does."""
        file = self.begin()
        try:
            for chunk in chunks:
                file.write(chunk)
            return file.end()
        except BaseException:
            file.discard()
            raise

    def begin(self) -> ContentFile:
        """Begin a file, for `publish` or `discard` when it has ended. Raises StoreError."""

    def publish(self, staged: Sequence[Staged]) -> None:
        """Make the bytes durable, give them their names, and make these durable too.

        On failure nothing that was staged is left behind, and what has its name may stay, because
        no letter refers to it. Raises StoreError and DiskFull.
        """

    def discard(self, staged: Iterable[Staged]) -> None:
        """Remove the bytes, unless they have been published."""
        for each in staged:
            Path(each.temporary).unlink(missing_ok=True)

    def open(self, sha256: str, beat: Callable[[], None] = do_nothing) -> FileIO:
        """Open the bytes for reading, without a buffer: they are read in large pieces.

        `beat` is called when there is progress before they can be read. Raises ContentMissing if
        they are not there or cannot be had now, and StoreError if this machine cannot read them.
        """

    def local_file(self, sha256: str) -> AbstractContextManager[Path]:
        """Keep the bytes in a file of this machine, for reading only, until the block ends.

        Raises as `open` does.
        """

    def beginning(self, sha256: str, size: int) -> bytes:
        """Return the first bytes, at most `size`. Raises as `open` does."""
        with self.open(sha256) as file:
            return file.read(size)

    def has(self, sha256: str) -> bool:
        """Whether the bytes are there now. Raises StoreError, and ContentMissing if not known."""

    def kept(self, prefix: str) -> set[str]:
        """Return the hashes that begin with the two digits `prefix` and whose bytes are here."""

    def is_older(self, sha256: str, before: datetime) -> bool:
        """Whether the bytes are there, and were last stored before that time."""

    def remove(self, sha256: str, before: datetime) -> int:
        """Remove bytes that no letter needs, unless they were last stored at `before` or later.

        Returns how many bytes were removed; 0 if they stay. Raises StoreError.
        """

    def fault(self, sha256: str) -> str:
        """Return what is wrong with the bytes: `missing`, `damaged`, or why they cannot be read.

        Empty if they match their name.
        """

    def guarded(self, *, alone: bool) -> AbstractContextManager[bool]:
        """Prevent others, in this and other processes, from removing bytes.

        Or, with `alone`, get the right to remove them; it does not wait, and yields False while
        there are readers. Raises StoreError.
        """

    def remove_temporaries(self, writer: str = "") -> None:
        """Remove half-written files of a killed process; with `writer`, only those of that one.

        Call it only when the process has ended. Files of other nodes stay.
        """


def missing(sha256: str, place: str) -> ContentMissing:
    """Return the error for bytes that are not where they were put."""
    return ContentMissing(
        f"the content {sha256} is not in {place}; restore it from a backup, and the delivery "
        "continues"
    )


@contextmanager
def guarded(folder: Path, *, alone: bool) -> Iterator[bool]:
    """Do what ContentStore.guarded promises, by a lock in the folder. Raises StoreError."""
    path = folder / "removal.lock"
    with errors_named(f"the lock {path} cannot be created"):
        descriptor = open_file(path, os.O_RDWR)
    try:
        yield _locked(descriptor, alone=alone)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, alone: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True
