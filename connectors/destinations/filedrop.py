"""The file drop: one folder for each letter, built beside its place and renamed into it, so that nobody ever sees half a letter.

A reader of the drop leaves names that begin with a dot alone; everything else is complete and never changes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from connectors.parcels import refuse_unsafe_names, verified_chunks
from daemon.errors import TemporaryFailure
from daemon.filenames import folder_name
from daemon.model import Receipt
from daemon.ports import Destination, Finding, Parcel
from daemon.settings import ConnectorSettings, FilePath

_MESSAGE = "message.json"
_SUMS = "SHA256SUMS"
_RESERVED = frozenset({_MESSAGE, _SUMS})
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
_REMEDIES = {
    errno.ENOENT: "is not there; make the folder, or mount the share",
    errno.ENOTDIR: "is no folder; name one in path",
    errno.EACCES: "may not be written; give the service's user the right to",
    errno.EPERM: "may not be written; give the service's user the right to",
    errno.EROFS: "can only be read; mount it for writing",
    errno.ENOSPC: "has no room left; make room on its disk",
    errno.EDQUOT: "has no room left in its quota; make room, or raise the quota",
}


class Settings(ConnectorSettings):
    """`[destination.NAME]` with `type = "filedrop"`."""

    path: FilePath
    """A folder that exists. That it does is asked at each delivery, for it may be on a share that comes and goes."""


def connect(name: str, settings: Settings) -> Destination:
    """A file drop in the folder `settings.path`."""
    return FileDrop(name, settings)


class FileDrop:
    """Drops letters as folders. May be used from several threads, each with a parcel of its own."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._path = settings.path

    def check(self) -> Iterator[Finding]:
        """Write a folder with a file in it, and remove both."""
        try:
            self._probe()
        except OSError as error:
            yield Finding(subject=f"destination {self.name}", ok=False, text=self._in_plain_words(error))
        else:
            yield Finding(subject=f"destination {self.name}", ok=True, text=f"the folder {self._path} can be written")

    def _probe(self) -> None:
        probe = self._path / f".tmp-check-{uuid4()}"
        try:
            probe.mkdir()
            _write(probe / "probe", [b"probe\n"])
            _sync_folder(probe)
        finally:
            shutil.rmtree(probe, ignore_errors=True)

    def deliver(self, parcel: Parcel) -> Receipt:
        """Drop the letter, or find that it was dropped already; both are durable on return.

        Whatever else has the letter's name is left as it is, and the letter dropped as `-v2`, `-v3` and so on, which the receipt tells.
        """
        refuse_unsafe_names(parcel, _RESERVED)
        temporary = self._path / f".tmp-{parcel.delivery_id}"
        try:
            if os.path.lexists(temporary):
                shutil.rmtree(temporary)  # what an attempt that crashed left behind
            place = self._place(parcel, temporary)
            _sync_folder(self._path)  # also for a letter that is there already: the attempt that put it there may have died before this
        except OSError as error:
            raise TemporaryFailure(self._in_plain_words(error)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return place.receipt(parcel)

    def close(self) -> None:
        """Nothing is kept open."""

    def _place(self, parcel: Parcel, temporary: Path) -> _Place:
        """Put the letter under the first of its names that is free, or find it under one that is not."""
        taken: list[str] = []
        for folder in self._candidates(parcel):
            if not os.path.lexists(folder):
                if not temporary.exists():
                    _build(temporary, parcel)
                if _rename(temporary, folder):
                    return _Place(folder=folder, taken=tuple(taken))
            if _holds(folder, parcel):
                return _Place(folder=folder, taken=tuple(taken), found=True)
            taken.append(folder.name)
        raise AssertionError("names do not run out")

    def _candidates(self, parcel: Parcel) -> Iterator[Path]:
        document = parcel.document
        name = folder_name(
            published_at=document.published_at,
            service=document.service.code,
            sender=document.sender.organisation,
            message_id=document.id,
            generation=parcel.generation,
        )
        yield self._path / name
        yield from (self._path / f"{name}-v{version}" for version in count(2))

    def _in_plain_words(self, error: OSError) -> str:
        unusual = f"cannot be used ({error.strerror or type(error).__name__}); look at its disk or share"
        return f"the drop folder {self._path} {_REMEDIES.get(error.errno or 0, unusual)}"


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a letter lies in the drop."""

    folder: Path
    taken: tuple[str, ...]
    """Names that would have come first, and belong to something else."""
    found: bool = False
    """An earlier attempt put the letter there."""

    def receipt(self, parcel: Parcel) -> Receipt:
        details: dict[str, Any] = {
            "path": str(self.folder),
            "files": len(parcel.parts),
            "bytes": sum(part.size for part in parcel.parts),
        }
        if self.found:
            details["found"] = True
        if self.taken:
            details["taken"] = list(self.taken)
        return Receipt(reference=str(self.folder), details=details)


class _File(BaseModel):
    name: str
    size: int | None
    sha256: str | None


class _DeliveryName(BaseModel):
    generation: int


class _Identity(BaseModel):
    """What of a message.json tells whether it is the same letter; an older Postmottak may have written the rest differently."""

    id: UUID
    delivery: _DeliveryName
    body: _File
    files: tuple[_File, ...]


def _holds(folder: Path, parcel: Parcel) -> bool:
    """Whether the folder is this letter, whole. Raises OSError if it cannot be looked at."""
    expected = _Identity.model_validate_json(_message(parcel))
    sizes = {part.name: part.size for part in parcel.parts} | {expected.body.name: len(parcel.body)}
    try:
        found = _Identity.model_validate_json((folder / _MESSAGE).read_bytes())
        return found == expected and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _build(folder: Path, parcel: Parcel) -> None:
    """Write the letter, durably, as a new folder. message.json is the last of its contents, and SHA256SUMS covers them all."""
    folder.mkdir(mode=0o750)
    for part in parcel.parts:
        _write(folder / part.name, verified_chunks(part))
    message = _message(parcel)
    _write(folder / parcel.document.body.name, [parcel.body])
    _write(folder / _MESSAGE, [message])
    sums = {part.name: part.sha256 for part in parcel.parts}
    sums |= {parcel.document.body.name: hashlib.sha256(parcel.body).hexdigest(), _MESSAGE: hashlib.sha256(message).hexdigest()}
    _write(folder / _SUMS, ["".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()])
    _sync_folder(folder)


def _message(parcel: Parcel) -> bytes:
    return (parcel.document.model_dump_json(indent=2) + "\n").encode()


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a new file, durably; one that is there already is never written to."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _rename(temporary: Path, folder: Path) -> bool:
    """Give the finished folder its name; False if somebody else has taken that in the meantime."""
    try:
        temporary.rename(folder)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems have no such thing as syncing a folder
            raise
    finally:
        os.close(descriptor)
