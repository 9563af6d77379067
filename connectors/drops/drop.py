"""What a place for drops must be able to do.

A layout is written once over it, for a disk and for every kind of server.

A path is relative to the drop's folder, of plain names with `/` between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from daemon.core.errors import TemporaryFailure

STAGING = ".postmottak"
"""The folder in a drop that is Postmottak's own: letters on their way, and the journal. Never for
consumers.
"""
MANIFEST = "message.json"
"""The file of a letter's folder that comes last where a folder cannot be renamed as a whole."""
TRIAL = ".tmp-check-"
"""How the names begin that a check makes and removes again."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What lies under a name. `size` is in bytes, and None for a folder."""

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

    What `write`, `publish` and `replace` did is durable when `sync` has returned, and what the
    others did when they return, as far as the other side lets itself be told; what was written is
    synced before it gets another name. Methods raise TemporaryFailure or PermanentFailure, in plain
    words, and nothing else but what is said here and what the given chunks raise.
    """

    place: str
    """The drop as a person would look for it; no secrets."""

    def look(self, path: str) -> Seen | None:
        """What lies there; None if nothing does. A link is not followed."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder, in any order; none if it is not there."""

    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:
        """The bytes of a file, in pieces.

        Raises FileNotFoundError, at the first piece, if there is no such file.

        Anything but a file is a TemporaryFailure that names it. With `sole`, so is a file that has
        another name, as far as that can be seen: it may be somebody else's, and hold what whoever
        put it here may not read.
        """

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write new files, and the folders that they are in.

        Only ever used under a hidden name, so not atomic.
        """

    def publish(self, source: str, target: str) -> bool:
        """Give a hidden file or folder its final name.

        False, and nothing is changed, if something has that name already.
        """

    def replace(self, source: str, target: str) -> None:
        """Put a hidden file in the place of another one."""

    def sync(self) -> None:
        """Make durable what was done since the last time.

        If that fails it is not done later: whoever needs it must do it all again.
        """

    def remove(self, path: str, *, lasting: bool = True) -> None:
        """Remove a file, or a folder with all that is in it; nothing there is no error.

        If not `lasting`, a power cut may bring it back.
        """

    def tidy(self, folder: str) -> None:
        """Remove a folder if nothing is in it, in one step; otherwise leave it."""


def read_whole(drop: Drop, path: str, limit: int) -> bytes:
    """The bytes of a file.

    Raises FileNotFoundError, TooLarge if there are more than `limit`, and as a Drop does.
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
    """The files, each after the folders above it were made, the outermost first and each once."""
    made: set[str] = set()
    for path, chunks in files:
        for folder in _above(path):
            if folder not in made:
                make_folder(folder)
                made.add(folder)
        yield path, chunks


def _above(path: str) -> Iterator[str]:
    """The folders that a file is in, the outermost first: `a` and `a/b` for `a/b/c.txt`."""
    pieces = path.split("/")[:-1]
    for length in range(1, len(pieces) + 1):
        yield "/".join(pieces[:length])
