"""A letter as arkivmelding.xml of eFormidling, which public sector archives read.

The schema is published in two forms that differ (felleslosninger/docs and efm-integrasjonspunkt);
the output is valid in both. It requires a case, which an incoming letter does not have yet: each
letter gets a case of its own, for the archive to file again. The schema has no element for an
organisation number or a hash, so these are metadata of our own.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from uuid import uuid5

from connectors.drops.formats import archive_xml
from connectors.drops.formats.archive_xml import Document, add
from daemon.core.ports import Parcel
from daemon.core.times import norwegian_day

FILE_NAME = "arkivmelding.xml"
_NAMESPACE = "http://www.arkivverket.no/standarder/noark5/arkivmelding"
_NOT_STATED = "Ikke oppgitt av avsender"


def render(parcel: Parcel, documents: Sequence[Document]) -> bytes:
    """Return the letter and its documents, the main one first.

    The bytes are the same for the same parcel.
    """
    message = archive_xml.root("arkivmelding", default=_NAMESPACE)
    add(message, "system", archive_xml.SYSTEM)
    add(message, "meldingId", parcel.delivery_id)
    add(message, "tidspunkt", parcel.document.fetched_at.isoformat())
    add(message, "antallFiler", len(documents))
    case = archive_xml.add_typed(message, "mappe", "saksmappe")
    add(case, "systemID", _id(parcel, "mappe"))
    add(case, "tittel", archive_xml.title(parcel))
    _created(case, parcel)
    _journal_entry(
        archive_xml.add_typed(case, "basisregistrering", "journalpost"), parcel, documents
    )
    add(case, "saksdato", norwegian_day(parcel.document.fetched_at))
    add(case, "administrativEnhet", archive_xml.addressees(parcel))
    add(case, "saksansvarlig", archive_xml.addressees(parcel))
    add(case, "saksstatus", "Under behandling")
    return archive_xml.to_bytes(message)


def _journal_entry(entry: ET.Element, parcel: Parcel, documents: Sequence[Document]) -> None:
    fetched = parcel.document.fetched_at
    add(entry, "systemID", _id(parcel, "journalpost"))
    _created(entry, parcel)
    add(entry, "arkivertDato", fetched.isoformat())
    add(entry, "arkivertAv", archive_xml.SYSTEM)
    add(entry, "referanseForelderMappe", _id(parcel, "mappe"))
    if parcel.document.confidential:
        _shielding(add(entry, "skjerming"))
    for number, document in archive_xml.numbered(documents):
        _description(add(entry, "dokumentbeskrivelse"), parcel, document, number)
    add(entry, "tittel", archive_xml.title(parcel))
    _own_metadata(add(entry, "virksomhetsspesifikkeMetadata"), parcel, documents)
    add(entry, "journalposttype", "Inngående dokument")
    add(entry, "journalstatus", "Journalført")
    _days(entry, parcel)
    add(entry, "antallVedlegg", max(0, len(documents) - 1))
    _parties(entry, parcel)


def _created(element: ET.Element, parcel: Parcel) -> None:
    add(element, "opprettetDato", parcel.document.fetched_at.isoformat())
    add(element, "opprettetAv", archive_xml.SYSTEM)


def _shielding(shielding: ET.Element) -> None:
    """Add the shielding of confidential post; only the sender knows its legal basis."""
    add(shielding, "tilgangsrestriksjon", "Taushetsbelagt post")
    add(shielding, "skjermingshjemmel", _NOT_STATED)
    add(shielding, "skjermingMetadata", "Tittel")
    add(shielding, "skjermingDokument", "Skjerming av hele dokumentet")


def _description(description: ET.Element, parcel: Parcel, document: Document, number: int) -> None:
    published, sender = parcel.document.published_at.isoformat(), archive_xml.sender(parcel)
    add(description, "systemID", _id(parcel, f"dokument/{number}"))
    add(description, "dokumenttype", "Brev" if number == 1 else "Vedlegg")
    add(description, "dokumentstatus", "Dokumentet er ferdigstilt")
    add(description, "tittel", archive_xml.document_title(parcel, document, number))
    add(description, "opprettetDato", published)
    add(description, "opprettetAv", sender)
    add(description, "tilknyttetRegistreringSom", archive_xml.role(number))
    add(description, "dokumentnummer", number)
    add(description, "tilknyttetDato", parcel.document.fetched_at.isoformat())
    add(description, "tilknyttetAv", archive_xml.SYSTEM)
    file = add(description, "dokumentobjekt")
    add(file, "versjonsnummer", 1)
    add(file, "variantformat", "Produksjonsformat")
    add(file, "opprettetDato", published)
    add(file, "opprettetAv", sender)
    add(file, "referanseDokumentfil", document.file)


def _own_metadata(metadata: ET.Element, parcel: Parcel, documents: Sequence[Document]) -> None:
    letter = parcel.document
    facts = {
        "altinnId": letter.source.id,
        "tjeneste": letter.service.code,
        "avsenderOrganisasjonsnummer": letter.sender.organisation or "",
        "mottakerOrganisasjonsnummer": letter.party,
        "avsendersReferanse": letter.sender_reference,
    }
    for name, value in facts.items():
        if value:
            add(metadata, name, value)
    for document in documents:
        add(metadata, "sha256", document.sha256, fil=document.file)


def _days(entry: ET.Element, parcel: Parcel) -> None:
    letter = parcel.document
    add(entry, "journaldato", norwegian_day(letter.fetched_at))
    add(entry, "dokumentetsDato", norwegian_day(letter.published_at))
    add(entry, "mottattDato", letter.fetched_at.isoformat())
    if letter.due_at:
        add(entry, "forfallsdato", norwegian_day(letter.due_at))


def _parties(entry: ET.Element, parcel: Parcel) -> None:
    sender = add(entry, "korrespondansepart")
    add(sender, "korrespondanseparttype", "Avsender")
    add(sender, "korrespondansepartNavn", archive_xml.sender(parcel))
    receiver = add(entry, "korrespondansepart")
    add(receiver, "korrespondanseparttype", "Mottaker")
    add(receiver, "korrespondansepartNavn", parcel.document.party)
    add(receiver, "administrativEnhet", archive_xml.addressees(parcel))


def _id(parcel: Parcel, what: str) -> str:
    """Return the id of an element that is made for the letter.

    It is the same in every repeat, and for every destination.
    """
    return str(uuid5(parcel.document.id, f"arkivmelding/{what}"))
