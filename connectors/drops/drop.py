"""What a place for drops must be able to do.

Layouts are written once against this interface, for a disk and for every kind of server. A path is
relative to the drop's folder, and consists of plain names with `/` between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from daemon.core.errors import TemporaryFailure

STAGING = ".postmottak"
"""The folder in a drop that is Postmottak's own, for unfinished letters and the journal. Not for
consumers.
"""
MANIFEST = "message.json"
"""The file that is written last in a letter's folder, where a folder cannot be renamed as a whole.
"""
TRIAL = ".tmp-check-"
"""The prefix of the names that a check creates and removes."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What has a name in a drop. `size` is in bytes, and None for a folder."""

    size: int | None
    odd: str = ""
    """What it is, if it is neither a file nor a folder, such as `a symbolic link`."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.size is None

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.size is not None and not self.odd


def unfit(place: str, path: str, what: str) -> TemporaryFailure:
    """Return the failure for something in a drop that is `what` and cannot be used."""
    return TemporaryFailure(
        f"{path} in the drop {place} is {what}, and was left unchanged; move it away, or remove it"
    )


def unfit_for_reading(place: str, path: str, seen: Seen) -> TemporaryFailure:
    """Return the same for something that is not a file."""
    return unfit(place, path, "a folder" if seen.is_folder else seen.odd)


class FileTooLarge(ValueError):
    """A file is larger than anything that belongs there."""


class Drop(Protocol):
    """An open drop, for one piece of work in one thread.

    The effects of `write`, `publish` and `replace` are durable when `sync` has returned, and those
    of the other methods when they return, as far as the other side allows; what was written is
    synced before it is renamed. Methods raise TemporaryFailure or PermanentFailure, in plain words,
    the exceptions that they name, and those of the given chunks, and nothing else.
    """

    place: str
    """The drop as a person would look for it; no secrets."""

    def look(self, path: str) -> Seen | None:
        """Return what has this name, or None. A link is not followed."""

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, in any order; none if the folder does not exist."""

    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:
        """Yield the bytes of a file, in pieces.

        Raises FileNotFoundError, at the first piece, if there is no such file, and
        TemporaryFailure, with what it is, for anything but a file. With `sole`, a file that has
        another hard link is refused too, as far as that can be seen: it may belong to another user,
        and hold what the one who linked it here may not read.
        """

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write new files, and create the folders that they are in.

        Not atomic, so only used under hidden names.
        """

    def publish(self, source: str, target: str) -> bool:
        """Give a hidden file or folder its final name.

        Returns False, with nothing changed, if something has that name already. Raises
        FileNotFoundError, with nothing changed, if it is seen that what was written there is not
        there any more, or not all of it.
        """

    def replace(self, source: str, target: str) -> None:
        """Rename a hidden file over another file."""

    def sync(self) -> None:
        """Make durable what was done since the last call.

        If that fails, a later call does not do it: the caller must start again.
        """

    def remove(self, path: str, *, lasting: bool = True) -> None:
        """Remove a file, or a folder with its contents; a missing one is not an error.

        If not `lasting`, it may reappear after a power cut.
        """

    def tidy(self, folder: str) -> None:
        """Remove a folder if it is empty, in one step; otherwise leave it."""


def read_whole(drop: Drop, path: str, limit: int) -> bytes:
    """Return the bytes of a file.

    Raises FileNotFoundError, FileTooLarge if there are more than `limit`, and as Drop does.
    """
    data = bytearray()
    for piece in drop.read(path):
        data += piece
        if len(data) > limit:
            raise FileTooLarge(path)
    return bytes(data)


OpenDrop = Callable[[], AbstractContextManager[Drop]]
"""Opens a drop for one piece of work. Entering it raises as a Drop's methods do."""


def into_folders(
    files: Iterable[tuple[str, Iterable[bytes]]], make_folder: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield the files, each after its parent folders were made, outermost first and each once."""
    made: set[str] = set()
    for path, chunks in files:
        for folder in _above(path):
            if folder not in made:
                make_folder(folder)
                made.add(folder)
        yield path, chunks


def _above(path: str) -> Iterator[str]:
    """Yield the folders that a file is in, outermost first: `a` and `a/b` for `a/b/c.txt`."""
    pieces = path.split("/")[:-1]
    for length in range(1, len(pieces) + 1):
        yield "/".join(pieces[:length])
