"""How a letter is laid out in a drop, independent of the kind of drop.

A layout defines what is published, in which order, and how a letter that is already there is
recognised. The last part to be published shows that the letter is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel

from connectors.drops import contents
from connectors.drops.contents import Item
from connectors.drops.drop import MANIFEST, Drop, read_whole
from connectors.drops.settings import DropSettings
from daemon.core.ports import Parcel

_MAX_DOCUMENT = 64 << 20  # bytes; larger than any letter's own message.json


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What gets its final name in one step: a folder with files, or one file."""

    name: str
    items: tuple[Item, ...]
    is_folder: bool = False

    def files(self, place: str) -> Iterator[tuple[str, Item]]:
        """Yield each file, with its path if the unit is at `place`."""
        for item in self.items:
            yield (f"{place}/{item.name}" if self.is_folder else place), item


class Layout(Protocol):
    """How letters are laid out in one drop."""

    def units(self, parcel: Parcel, name: str) -> tuple[Unit, ...]:
        """Return the units to publish for the letter with this name, in order; never empty."""

    def holds(self, drop: Drop, parcel: Parcel, name: str) -> bool:
        """Return whether this name belongs to this letter, complete."""

    def taken(self, drop: Drop, name: str, units: tuple[str, ...]) -> bool:
        """Return whether a consumer has taken the letter of this name, published as these units."""


@dataclass(frozen=True)
class FolderLayout:
    """One folder for each letter, and a marker beside it if one is configured."""

    settings: DropSettings

    def units(self, parcel: Parcel, name: str) -> tuple[Unit, ...]:
        """Return the folder, then the marker."""
        return (
            Unit(name=name, items=self._items(parcel), is_folder=True),
            *_marker(name, self.settings),
        )

    def _items(self, parcel: Parcel) -> tuple[Item, ...]:
        payloads = _payloads(parcel, self.settings)
        extra = contents.archive_formats(parcel, self.settings.formats, payloads)
        items = [*payloads, *extra, contents.message(parcel, MANIFEST)]
        return (*items, contents.checksums(items))

    def holds(self, drop: Drop, parcel: Parcel, name: str) -> bool:
        """Recognise it by its message.json, and the sizes of attachments and text."""
        return _is_folder(drop, name) and _same_letter(
            drop, parcel, f"{name}/{MANIFEST}", f"{name}/"
        )

    # the folder is all that counts
    def taken(self, drop: Drop, name: str, units: tuple[str, ...]) -> bool:  # noqa: ARG002
        """Return whether the folder is gone."""
        return drop.look(name) is None


@dataclass(frozen=True)
class FlatLayout:
    """All files side by side, with the letter's name as prefix.

    Attachments and text come first, then the files that describe them, then the marker.
    """

    settings: DropSettings

    def units(self, parcel: Parcel, name: str) -> tuple[Unit, ...]:
        """Return attachments and text, other formats, the sidecar, the marker."""
        payloads = _payloads(parcel, self.settings)
        extra = contents.archive_formats(parcel, self.settings.formats, payloads, f"{name}_")
        named = [Unit(name=f"{name}_{item.name}", items=(item,)) for item in (*payloads, *extra)]
        sidecar = contents.message(parcel, f"{name}.json")
        return (*named, Unit(name=sidecar.name, items=(sidecar,)), *_marker(name, self.settings))

    def holds(self, drop: Drop, parcel: Parcel, name: str) -> bool:
        """Recognise it by its sidecar, and the sizes of attachments and text."""
        return _same_letter(drop, parcel, f"{name}.json", f"{name}_")

    def taken(self, drop: Drop, name: str, units: tuple[str, ...]) -> bool:
        """Return whether the last file, marker or sidecar, is gone, or all payloads are."""
        return drop.look(units[-1]) is None or not any(
            drop.look(unit) for unit in units if unit.startswith(f"{name}_")
        )


@dataclass(frozen=True)
class PdfLayout:
    """PDFs alone, for watched folders whose reader fails on other files.

    A letter without a PDF is dropped as a PDF rendering of itself.
    """

    settings: DropSettings

    def units(self, parcel: Parcel, name: str) -> tuple[Unit, ...]:
        """Return the attachments that are PDFs, the rendering, then the marker.

        The rendering is included if it is configured, or if the letter has no PDF.
        """
        pdfs = [item for item in contents.attachments(parcel) if item.is_pdf]
        if self.settings.letter_pdf or not pdfs:
            pdfs.append(contents.readable(parcel))
        return (
            *(Unit(name=_pdf_name(name, item), items=(item,)) for item in pdfs),
            *_marker(name, self.settings),
        )

    def holds(self, drop: Drop, parcel: Parcel, name: str) -> bool:
        """Recognise it by the bytes of every PDF, as nothing else identifies it."""
        return all(
            _same_bytes(drop, unit) for unit in self.units(parcel, name) if unit.items[0].is_pdf
        )

    def taken(self, drop: Drop, name: str, units: tuple[str, ...]) -> bool:
        """Return whether every PDF is gone."""
        return not any(drop.look(unit) for unit in units if unit.startswith(f"{name}_"))


def layout_for(settings: DropSettings) -> Layout:
    """Return the layout that the settings ask for."""
    shapes: dict[str, type[FolderLayout | FlatLayout | PdfLayout]] = {
        "flat": FlatLayout,
        "pdf-only": PdfLayout,
    }
    return shapes.get(settings.layout, FolderLayout)(settings)


def same_unit(drop: Drop, unit: Unit) -> bool:
    """Return whether the file under the unit's name is that unit, byte for byte."""
    return not unit.is_folder and _same_bytes(drop, unit)


def _payloads(parcel: Parcel, settings: DropSettings) -> list[Item]:
    rendering = [contents.readable(parcel)] if settings.letter_pdf else []
    return [*contents.attachments(parcel), contents.text(parcel), *rendering]


def _marker(name: str, settings: DropSettings) -> list[Unit]:
    suffix = settings.marker_suffix
    return (
        [Unit(name=name + suffix, items=(contents.made(name + suffix, "", b""),))] if suffix else []
    )


def _pdf_name(name: str, item: Item) -> str:
    file = f"{name}_{item.name}"
    return file if file.endswith(".pdf") else f"{file}.pdf"


def _is_folder(drop: Drop, name: str) -> bool:
    seen = drop.look(name)
    return seen is not None and seen.is_folder


def _is_file(drop: Drop, path: str) -> bool:
    seen = drop.look(path)
    return seen is not None and seen.is_file


class _LayoutFile(BaseModel):
    name: str
    size: int | None
    sha256: str | None


class _DeliveryName(BaseModel):
    generation: int


class _Identity(BaseModel):
    """The fields of a message.json that identify the letter.

    An older Postmottak may have written the other fields differently.
    """

    id: UUID
    delivery: _DeliveryName
    body: _LayoutFile
    files: tuple[_LayoutFile, ...]


def _same_letter(drop: Drop, parcel: Parcel, document: str, prefix: str) -> bool:
    expected = _Identity.model_validate_json(parcel.document.model_dump_json())
    sizes = {part.name: part.size for part in parcel.parts} | {expected.body.name: len(parcel.body)}
    try:
        if not _is_file(drop, document):
            return False
        found = _Identity.model_validate_json(read_whole(drop, document, _MAX_DOCUMENT))
    except (FileNotFoundError, ValueError):
        return False
    seen = {name: drop.look(prefix + name) for name in sizes}
    return found == expected and all(
        each is not None and each.is_file and each.size == sizes[name]
        for name, each in seen.items()
    )


def _same_bytes(drop: Drop, unit: Unit) -> bool:
    item, digest, size = unit.items[0], hashlib.sha256(), 0
    seen = drop.look(unit.name)
    if seen is None or not seen.is_file or seen.size != item.size:
        return False
    try:
        for chunk in drop.read(unit.name):
            digest.update(chunk)
            size += len(chunk)
            if size > item.size:  # it grows while it is read
                return False
    except FileNotFoundError:
        return False
    return digest.hexdigest() == item.sha256
