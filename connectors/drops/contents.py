"""The files of a dropped letter: attachments and text as received, and files made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from connectors.drops.formats import arkivmelding, fiks_arkiv
from connectors.drops.formats.archive_xml import Document
from connectors.drops.formats.letter_pdf import render_letter
from connectors.parcel.verify import verified_chunks
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel

LETTER_PDF = "letter.pdf"
SUMS = "SHA256SUMS"
_PDF = "application/pdf"
_XML = "application/xml"
FORMATS: dict[str, tuple[str, Callable[[Parcel, Sequence[Document]], bytes]]] = {
    "arkivmelding": (arkivmelding.FILE_NAME, arkivmelding.render),
    "fiks-arkiv": (fiks_arkiv.FILE_NAME, fiks_arkiv.render),
}
"""The formats beside message.json: the file's name, and the function that makes it."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One file of a drop."""

    name: str
    original_name: str
    media_type: str
    size: int
    sha256: str
    chunks: Callable[[], Iterable[bytes]]
    """The bytes, in pieces. Each call starts again, and raises as `verified_chunks` does."""

    @property
    def is_pdf(self) -> bool:
        """Whether a PDF reader can be expected to open it."""
        return self.media_type.partition(";")[0].strip().lower() == _PDF or self.name.endswith(
            ".pdf"
        )


def made(name: str, media_type: str, data: bytes) -> Item:
    """Return an item for a small file in memory."""
    digest = hashlib.sha256(data).hexdigest()
    return Item(
        name=name,
        original_name="",
        media_type=media_type,
        size=len(data),
        sha256=digest,
        chunks=lambda: [data],
    )


def attachments(parcel: Parcel) -> list[Item]:
    """Return the attachments that are stored here."""
    originals = {file.name: file.original_name for file in parcel.document.files}
    return [_attachment(part, originals.get(part.name, "")) for part in parcel.parts]


def text(parcel: Parcel) -> Item:
    """Return the letter's text as received."""
    return made(parcel.document.body.name, parcel.document.body.media_type, parcel.body)


def readable(parcel: Parcel) -> Item:
    """Return the letter as a PDF for people."""
    return made(LETTER_PDF, _PDF, render_letter(parcel))


def message(parcel: Parcel, name: str) -> Item:
    """Return the letter's JSON document."""
    return made(
        name, "application/json", (parcel.document.model_dump_json(indent=2) + "\n").encode()
    )


def archive_formats(
    parcel: Parcel, formats: Sequence[str], items: Sequence[Item], prefix: str = ""
) -> list[Item]:
    """Return the letter in other formats, which refer to `items` by `prefix` and their names."""
    documents = [_document(item, prefix) for item in _for_archive(parcel, items)]
    return [
        made(name, _XML, render(parcel, documents))
        for name, render in (FORMATS[each] for each in formats if each in FORMATS)
    ]


def checksums(items: Sequence[Item]) -> Item:
    """Return the items' hashes in the format of coreutils' sha256sum."""
    return made(
        SUMS, "text/plain", "".join(f"{item.sha256}  {item.name}\n" for item in items).encode()
    )


def _attachment(part: ParcelPart, original_name: str) -> Item:
    return Item(
        name=part.name,
        original_name=original_name,
        media_type=part.media_type,
        size=part.size,
        sha256=part.sha256,
        chunks=partial(verified_chunks, part),
    )


def _for_archive(parcel: Parcel, items: Sequence[Item]) -> list[Item]:
    """Return the main document first (the first attachment if there is one), then the others.

    A rendering takes the place of the text.
    """
    rendered = any(item.name == LETTER_PDF for item in items)
    return [item for item in items if not (rendered and item.name == parcel.document.body.name)]


def _document(item: Item, prefix: str) -> Document:
    return Document(
        file=prefix + item.name,
        original_name=item.original_name or item.name,
        media_type=item.media_type,
        size=item.size,
        sha256=item.sha256,
    )
