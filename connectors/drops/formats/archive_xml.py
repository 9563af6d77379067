"""What the archive formats share: well-formed XML, and a letter's fields in archive terms.

The XML is the same for the same letter.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from connectors.parcel.xml_characters import as_xml_text
from daemon.core.ports import Parcel
from daemon.core.printable import one_line

SYSTEM = "Postmottak"
NO_TITLE = "(uten tittel)"
UNKNOWN = "Ukjent"
MAIN, ATTACHED = "Hoveddokument", "Vedlegg"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file that an archive receives. `file` is its name in the drop."""

    file: str
    original_name: str
    media_type: str
    size: int
    sha256: str


def root(tag: str, **namespaces: str) -> ET.Element:
    """Return a root element; `default` is the namespace without a prefix.

    The tags below it are written with their prefixes.
    """
    names = {
        "xmlns" if prefix == "default" else f"xmlns:{prefix}": name
        for prefix, name in namespaces.items()
    }
    return ET.Element(tag, {**names, "xmlns:xsi": _XSI})


def add(parent: ET.Element, tag: str, content: object = "", **attributes: str) -> ET.Element:
    """Add an element with this text. Characters that XML cannot hold become U+FFFD."""
    element = ET.SubElement(
        parent, tag, {name: as_xml_text(value) for name, value in attributes.items()}
    )
    element.text = as_xml_text(str(content)) or None
    return element


def add_typed(parent: ET.Element, tag: str, xsi_type: str) -> ET.Element:
    """Add an element that names its type of the schema."""
    return ET.SubElement(parent, tag, {"xsi:type": xsi_type})


def to_bytes(element: ET.Element) -> bytes:
    """Return the document in UTF-8."""
    ET.indent(element)
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        + ET.tostring(element, encoding="unicode").encode()
        + b"\n"
    )


def title(parcel: Parcel) -> str:
    """Return the letter's title on one line."""
    return one_line(parcel.document.title) or NO_TITLE


def sender(parcel: Parcel) -> str:
    """Return the sender's name, otherwise its number, otherwise that it is unknown."""
    return one_line(parcel.document.sender.name) or parcel.document.sender.organisation or UNKNOWN


def addressees(parcel: Parcel) -> str:
    """Return the recipients for whom the letter is dropped."""
    return ", ".join(one_line(each.title) or each.name for each in parcel.addressees) or UNKNOWN


def document_title(parcel: Parcel, document: Document, number: int) -> str:
    """Return a document's title: the letter's for the first, the file's own name for the others."""
    return title(parcel) if number == 1 else one_line(document.original_name) or document.file


def role(number: int) -> str:
    """Return the role in the letter of the document with this number, counted from 1."""
    return MAIN if number == 1 else ATTACHED


def numbered(documents: Sequence[Document]) -> list[tuple[int, Document]]:
    """Return the documents with their numbers, counted from 1."""
    return list(enumerate(documents, start=1))
