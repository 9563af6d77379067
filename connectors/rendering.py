"""A letter as a person reads it: one line for a subject, and a page of plain text, in Norwegian."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from unicodedata import category
from zoneinfo import ZoneInfo

from connectors.html_text import readable_text
from daemon.document import File, LetterDocument
from daemon.model import KEPT_STATES, PartState
from daemon.ports import Parcel

_NORWAY = ZoneInfo("Europe/Oslo")
_MB = 1_000_000
_RULE = "-" * 60
_WHY_MISSING = {
    PartState.EXPIRED: "utløpt i Altinn før det ble hentet",
    PartState.PURGED: "slettet i Altinn før det ble hentet",
    PartState.SCAN_FAILED: "stoppet av virussjekken i Altinn",
    PartState.EXTERNAL: "ligger hos avsenderen, ikke i Altinn",
    PartState.UNAVAILABLE: "Altinn ga det ikke ut",
}


def one_line(text: str) -> str:
    """`text` without line breaks, control characters and the like, fit for a header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def subject(document: LetterDocument) -> str:
    """The letter's service and title: `[4255/8] Vedtak om merverdiavgift`."""
    return f"[{one_line(document.service.code)}] {one_line(document.title) or '(uten tittel)'}"


def plain_letter(parcel: Parcel, notice: str = "") -> str:
    """What is known of the letter, `notice`, and the letter's text, in plain text; times are Norwegian."""
    document = parcel.document
    blocks = [
        "\n".join(f"{label + ':':<15}{one_line(value)}" for label, value in _facts(parcel) if value.strip()),
        "\n".join(["Vedlegg:", *map(_file_line, document.files)]) if document.files else "Ingen vedlegg.",
        notice,
        _RULE,
        _words(parcel),
        _RULE,
        f"Mottatt av Postmottak. Brev {document.id}, levering {parcel.delivery_id}.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def size_text(size: int) -> str:
    """A size as Norwegians write it: `31,4 MB`, `12,0 kB`."""
    number, unit = (size / _MB, "MB") if size >= _MB else (size / 1000, "kB")
    return f"{number:.1f} {unit}".replace(".", ",")


def _facts(parcel: Parcel) -> Iterator[tuple[str, str]]:
    document = parcel.document
    yield "Tjeneste", f"{document.service.code} {document.service.name.get('nb', '')}"
    yield "Avsender", _sender(document)
    yield "Mottaker", document.party
    yield "Fordelt til", ", ".join(each.title or each.name for each in parcel.addressees)
    yield "Tittel", document.title
    yield "Publisert", _moment(document.published_at)
    yield "Frist", _moment(document.due_at) if document.due_at else ""
    yield "Bekreftelse", "avsenderen ber om bekreftelse" if document.confirmation_needed else ""
    yield "Referanse", document.sender_reference


def _sender(document: LetterDocument) -> str:
    number = document.sender.organisation
    return f"{document.sender.name} ({number})" if number else document.sender.name or "ukjent"


def _moment(moment: datetime) -> str:
    return moment.astimezone(_NORWAY).strftime("%d.%m.%Y kl. %H.%M")


def _file_line(file: File) -> str:
    original = one_line(file.original_name)
    name = f"- {file.name}" + (f" ({original})" if original and original != file.name else "")
    if file.state not in KEPT_STATES:
        return f"{name}: mangler, {_WHY_MISSING[file.state]}"
    doubt = ", stemmer ikke med avsenderens sjekksum" if file.state is PartState.CHECKSUM_FAILED else ""
    return f"{name}, {size_text(file.size or 0)}{doubt}"


def _words(parcel: Parcel) -> str:
    """The letter's summary and text; HTML is turned into text, and markdown is readable as it is."""
    text = parcel.body.decode(errors="replace")
    if parcel.document.body.media_type == "text/html":
        text = readable_text(text)
    summary = parcel.document.summary.strip()
    words = text.strip() if text.strip().startswith(summary) else f"{summary}\n\n{text.strip()}".strip()
    return _printable(words) or "(Brevet har ingen tekst.)"


def _printable(text: str) -> str:
    """`text` without control characters, which could trick a terminal or a mail reader; tabs and line breaks stay."""
    return "\n".join(
        "".join(letter for letter in line if letter == "\t" or category(letter) not in {"Cc", "Cs"}) for line in text.splitlines()
    )
