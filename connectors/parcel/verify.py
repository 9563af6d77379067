"""Verify a parcel before a destination passes it on: safe names, and the promised bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from daemon.core.errors import PermanentFailure, TemporaryFailure
from daemon.core.filenames import is_plain_name
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel

_CHUNK = 1 << 18


def refuse_unsafe_names(parcel: Parcel, reserved: frozenset[str] = frozenset()) -> None:
    """Raise PermanentFailure if a name could lead out of a folder, or occurs twice.

    `reserved` are taken already. Intake makes safe names, so this never happens unless the store
    was tampered with or an importer has a fault.
    """
    taken = {name.casefold() for name in reserved}
    for position, name in enumerate(
        (parcel.document.body.name, *(part.name for part in parcel.parts))
    ):
        if not is_plain_name(name) or name.casefold() in taken:
            what = f"attachment {position}" if position else "the letter's text"
            raise PermanentFailure(
                f"the file name of {what} is not safe to write; show the letter, and report "
                "this as a fault"
            )
        taken.add(name.casefold())


def verified_chunks(part: ParcelPart) -> Iterator[bytes]:
    """Yield the attachment's bytes, at most 256 KiB at a time, because many may be in flight.

    Raises TemporaryFailure if they cannot be read or, after the last of them, if they are not the
    bytes that the parcel promises: the caller must not make them final before the end. It names the
    file by its hash, as the content folder does, and not by the attachment's name. Raises
    StoreError as `part.open` does.
    """
    found, size = hashlib.sha256(), 0
    piece = min(_CHUNK, part.size + 1)  # a small file needs no large block of memory
    try:
        with part.open() as file:
            while chunk := file.read(piece):
                found.update(chunk)
                size += len(chunk)
                yield chunk
    except OSError as error:
        raise TemporaryFailure(
            f"the stored file {part.sha256} cannot be read ({error.strerror}); check the "
            "content folder's disk"
        ) from error
    if (found.hexdigest(), size) != (part.sha256, part.size):
        raise TemporaryFailure(
            f"the stored file {part.sha256} is not what was received; restore it in the content "
            "folder from a backup"
        )
