"""A letter as Fiks Arkiv's arkivmelding v1 (KS), the successor of GeoIntegrasjon Arkiv.

It needs no case: one incoming journal entry stands alone, temporarily registered (`M`) until the archive has looked at it. The letter's
id is the external key by which the archive recognises a repeat.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from connectors.drops import archive
from connectors.drops.archive import Document, add
from connectors.rendering import one_line
from daemon.ports import Parcel
from daemon.times import norwegian_day

FILE_NAME = "fiks-arkivmelding.xml"
_NAMESPACE = "https://ks-no.github.io/standarder/fiks-protokoll/fiks-arkiv/arkivmelding/opprett/v1"
_CODES = "https://ks-no.github.io/standarder/fiks-protokoll/fiks-arkiv/metadatakatalog/v1"


def render(parcel: Parcel, documents: Sequence[Document]) -> bytes:
    """The letter and its documents, the main one first; the same bytes for the same parcel."""
    message = archive.root("arkivmelding", default=_NAMESPACE, m=_CODES)
    add(message, "system", archive.SYSTEM)
    add(message, "antallFiler", len(documents))
    entry = archive.add_typed(message, "registrering", "journalpost")
    for number, document in archive.numbered(documents):
        _description(add(entry, "dokumentbeskrivelse"), parcel, document, number)
    add(entry, "tittel", archive.title(parcel))
    _party(entry, "EA", "Avsender", archive.sender(parcel), parcel.document.sender.organisation, parcel.document.sender_reference)
    _party(entry, "EM", "Mottaker", parcel.document.party, parcel.document.party)
    key = add(entry, "referanseEksternNoekkel")
    add(key, "m:fagsystem", archive.SYSTEM)
    add(key, "m:noekkel", parcel.document.id)
    _code(entry, "journalposttype", "I", "Inngående dokument")
    _code(entry, "journalstatus", "M", "Midlertidig registrering av innkommet dokument")
    _days(entry, parcel)
    add(entry, "antallVedlegg", max(0, len(documents) - 1))
    return archive.to_bytes(message)


def _code(parent: ET.Element, tag: str, code: str, words: str) -> None:
    element = add(parent, tag)
    add(element, "m:kode", code)
    add(element, "m:beskrivelse", words)


def _description(description: ET.Element, parcel: Parcel, document: Document, number: int) -> None:
    role = archive.role(number)
    add(description, "tittel", archive.document_title(parcel, document, number))
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


def _party(entry: ET.Element, code: str, words: str, name: str, organisation: str | None, reference: str = "") -> None:
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
