"""The letters and attachments that a test or a demo adds to the simulated Altinn, and their states.

The defaults are those of a letter that eFormidling sends through DPV (efm-integrasjonspunkt,
CorrespondenceFactory.java).
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

_URN = "urn:altinn:organization:identifier-no:"
_BLOCK = 1 << 20

CONFIDENTIAL_RESOURCE = "eformidling-dpv-taushetsbelagt"
RIGHT = "right"


class Status(IntEnum):
    """States of a letter, with the server's numbers (CORE/Models/Enums/CorrespondenceStatus.cs)."""

    Initialized = 0
    ReadyForPublish = 1
    Published = 2
    Fetched = 3
    Read = 4
    Replied = 5
    Confirmed = 6
    PurgedByRecipient = 7
    PurgedByAltinn = 8
    Archived = 9
    Reserved = 10
    Failed = 11
    AttachmentsDownloaded = 12
    Forwarded = 13


class AttachmentStatus(StrEnum):
    """States of an attachment."""

    Initialized = "Initialized"
    UploadProcessing = "UploadProcessing"
    Published = "Published"
    Purged = "Purged"
    Failed = "Failed"
    Expired = "Expired"


@dataclass(frozen=True)
class RawJson:
    """A value in `overrides` that is sent as this text, unchecked.

    Such as endless nesting, or numbers that Python does not write.
    """

    text: str


@dataclass(frozen=True, kw_only=True)
class PretendAttachment:
    """One attachment.

    Give its `content`, or a `size` in bytes, which are generated while they are sent and never held
    in memory.
    """

    name: str = "brev.pdf"
    content: bytes = b""
    size: int | None = None
    display_name: str | None = None
    checksum: str | None = RIGHT
    """The checksum in the overview: `RIGHT` for the MD5 of the content, anything else as given,
    None for null. The MD5 of a `size` is computed at the first overview, which takes about two
    seconds for 1 GB, and then remembered.
    """
    status: AttachmentStatus = AttachmentStatus.Published
    resource: str | None = None
    """The resource that decides who may download it; the letter's own if None."""
    encrypted: bool = False
    data_location_type: str = "AltinnCorrespondenceAttachment"
    """Or `ExternalStorage`, whose bytes Altinn does not have."""
    data_type: str | None = None
    """The media type in the overview; by the name's extension if None."""
    senders_reference: str = "AttachmentReference_as123452"
    expires_at: datetime | None = None
    id: str | None = None
    """Generated when the letter is published, if None."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields of its JSON in the overview that are replaced or added."""

    @property
    def length(self) -> int:
        """In bytes."""
        return len(self.content) if self.size is None else self.size

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the start, a megabyte at a time; the same each time."""
        if self.size is None:
            yield from (
                self.content[start : start + _BLOCK]
                for start in range(0, len(self.content), _BLOCK)
            )
        else:
            yield from _made_up(self.size)

    def md5(self) -> str:
        """Return the MD5 in hexadecimal."""
        return (
            hashlib.md5(self.content, usedforsecurity=False).hexdigest()
            if self.size is None
            else _made_up_md5(self.size)
        )


@dataclass(frozen=True, kw_only=True)
class PretendLetter:
    """One letter to `party` under `resource`.

    Times that are None become now when it is published.
    """

    party: str
    resource: str = "eformidling-dpv-administrasjon"
    title: str = "Vedtak i sak 2026/1234"
    summary: str | None = "Kommunen har fattet vedtak"
    body: str = "Hei\n\nSe vedlagt vedtak."
    language: str = "nb"
    attachments: tuple[PretendAttachment, ...] = ()
    message_sender: str = "Eksempel kommune"
    sender_org: str | None = "964965226"
    """The real sender, in `propertyList.senderOrgNumber`; None leaves the property out."""
    sender: str | None = f"{_URN}991825827"
    """The technical sender in the overview: Digdir. Older letters may have `0192:991825827`."""
    senders_reference: str | None = None
    created_at: datetime | None = None
    requested_at: datetime | None = None
    """The list's time axis. An old time makes a letter that appears late."""
    published_at: datetime | None = None
    due_after: timedelta | None = timedelta(days=7)
    confirmation_needed: bool = False
    confidential: bool | None = None
    """If None, exactly when the resource is the confidential one."""
    status: Status = Status.Published
    """Published, or the last status of a letter that is not: Initialized, ReadyForPublish,
    Reserved, Failed.
    """
    reply_options: tuple[tuple[str, str | None], ...] = ()
    """Links and their texts."""
    external_references: tuple[tuple[str, str], ...] | None = None
    """Types and values; the dialog's id if None."""
    properties: Mapping[str, str] = field(default_factory=dict)
    altinn2_id: int | None = None
    idempotent_key: str | None = None
    id: str | None = None
    """Generated when the letter is published, if None."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the overview's JSON that are replaced or added: an unknown status, a time without
    zone, a new field.

    Those of the content as well, by their own names. For the simulated Altinn 2, its own fields:
    `DateSent`, `DueDate` and so on.
    """

    @property
    def is_confidential(self) -> bool:
        """The value in the overview."""
        return (
            self.resource == CONFIDENTIAL_RESOURCE
            if self.confidential is None
            else self.confidential
        )


def urn(organisation: str) -> str:
    """Return an organisation number as the platform writes it."""
    return f"{_URN}{organisation}"


def _made_up(size: int) -> Iterator[bytes]:
    """Yield generated bytes.

    No two megabytes are equal, so that a lost or misplaced piece is noticed.
    """
    block = _noise()
    for number, start in enumerate(range(0, size, _BLOCK)):
        chunk = number.to_bytes(8, "big") + block
        yield chunk[: min(_BLOCK, size - start)]


@functools.cache
def _noise() -> bytes:

    return random.Random(4255).randbytes(_BLOCK - 8)  # noqa: S311


@functools.lru_cache(maxsize=64)
def _made_up_md5(size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in _made_up(size):
        digest.update(chunk)
    return digest.hexdigest()
