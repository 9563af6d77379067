"""A letter as Fiks Arkiv's arkivmelding v1 (KS), the successor of GeoIntegrasjon Arkiv.

It needs no case: one incoming journal entry stands alone, temporarily registered (`M`) until the
archive has looked at it. The letter's id is the external key by which the archive recognises a
repeat.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from connectors.drops.formats import archive_xml
from connectors.drops.formats.archive_xml import Document, add
from daemon.core.ports import Parcel
from daemon.core.printable import one_line
from daemon.core.times import norwegian_day

FILE_NAME = "fiks-arkivmelding.xml"
_NAMESPACE = "https://ks-no.github.io/standarder/fiks-protokoll/fiks-arkiv/arkivmelding/opprett/v1"
_CODES = "https://ks-no.github.io/standarder/fiks-protokoll/fiks-arkiv/metadatakatalog/v1"


def render(parcel: Parcel, documents: Sequence[Document]) -> bytes:
    """Return the letter and its documents, the main one first.

    The bytes are the same for the same parcel.
    """
    message = archive_xml.root("arkivmelding", default=_NAMESPACE, m=_CODES)
    add(message, "system", archive_xml.SYSTEM)
    add(message, "antallFiler", len(documents))
    entry = archive_xml.add_typed(message, "registrering", "journalpost")
    for number, document in archive_xml.numbered(documents):
        _description(add(entry, "dokumentbeskrivelse"), parcel, document, number)
    add(entry, "tittel", archive_xml.title(parcel))
    _party(
        entry,
        "EA",
        "Avsender",
        archive_xml.sender(parcel),
        parcel.document.sender.organisation,
        parcel.document.sender_reference,
    )
    _party(entry, "EM", "Mottaker", parcel.document.party, parcel.document.party)
    key = add(entry, "referanseEksternNoekkel")
    add(key, "m:fagsystem", archive_xml.SYSTEM)
    add(key, "m:noekkel", parcel.document.id)
    _code(entry, "journalposttype", "I", "Inngående dokument")
    _code(entry, "journalstatus", "M", "Midlertidig registrering av innkommet dokument")
    _days(entry, parcel)
    add(entry, "antallVedlegg", max(0, len(documents) - 1))
    return archive_xml.to_bytes(message)


def _code(parent: ET.Element, tag: str, code: str, words: str) -> None:
    element = add(parent, tag)
    add(element, "m:kode", code)
    add(element, "m:beskrivelse", words)


def _description(description: ET.Element, parcel: Parcel, document: Document, number: int) -> None:
    role = archive_xml.role(number)
    add(description, "tittel", archive_xml.document_title(parcel, document, number))
    _code(description, "tilknyttetRegistreringSom", role[0], role)
    add(description, "dokumentnummer", number)
    file = add(description, "dokumentobjekt")
    add(file, "versjonsnummer", 1)
    _code(file, "variantformat", "P", "Produksjonsformat")
    add(file, "mimeType", document.media_type)
    add(file, "filnavn", one_line(document.original_name) or document.file)
    add(file, "referanseDokumentfil", document.file)
    add(file, "sjekksum", document.sha256)
    add(file, "sjekksumAlgoritme", "SHA-256")
    add(file, "filstoerrelse", document.size)


def _party(
    entry: ET.Element,
    code: str,
    words: str,
    name: str,
    organisation: str | None,
    reference: str = "",
) -> None:
    party = add(entry, "korrespondansepart")
    _code(party, "korrespondanseparttype", code, words)
    add(party, "korrespondansepartNavn", name)
    if organisation:
        add(party, "organisasjonid", organisation)
    if reference:
        add(party, "deresReferanse", one_line(reference))


def _days(entry: ET.Element, parcel: Parcel) -> None:
    letter = parcel.document
    add(entry, "dokumentetsDato", norwegian_day(letter.published_at))
    add(entry, "mottattDato", letter.fetched_at.isoformat())
    if letter.due_at:
        add(entry, "forfallsdato", norwegian_day(letter.due_at))
