"""What Postmottak says about a letter, in Norwegian and in English.

The letter's own words are never translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from daemon.core.model import PartState
from daemon.core.times import in_norway, written

Language = Literal["nb", "en"]

_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """One language. Texts with braces are for `str.format`, with the names in the braces."""

    language: Language
    service: str
    sender: str
    party: str
    recipients: str
    title: str
    published: str
    deadline: str
    confirmation: str
    reference: str
    attachments: str
    unknown: str
    untitled: str
    confirmation_wanted: str
    no_attachments: str
    no_text: str
    text_deleted: str
    missing: str
    doubtful: str
    footer: str
    left_out: str
    why_missing: Mapping[PartState, str]
    moment_format: str
    decimal: str

    def moment(self, moment: datetime) -> str:
        """Return a time, in Norway."""
        return written(in_norway(moment), self.moment_format)

    def size(self, size: int) -> str:
        """Return a size in bytes: `31,4 MB`, `12,0 kB`."""
        number, unit = (size / _MB, "MB") if size >= _MB else (size / 1000, "kB")
        return f"{number:.1f} {unit}".replace(".", self.decimal)


NB = Phrases(
    language="nb",
    service="Tjeneste",
    sender="Avsender",
    party="Mottaker",
    recipients="Fordelt til",
    title="Tittel",
    published="Publisert",
    deadline="Frist",
    confirmation="Bekreftelse",
    reference="Referanse",
    attachments="Vedlegg",
    unknown="ukjent",
    untitled="(uten tittel)",
    confirmation_wanted="avsenderen ber om bekreftelse",
    no_attachments="Ingen vedlegg.",
    no_text="(Brevet har ingen tekst.)",
    text_deleted="(Teksten ble slettet {when}, da oppbevaringstiden var over.)",
    missing="mangler, {why}",
    doubtful="stemmer ikke med avsenderens sjekksum",
    footer="Mottatt av Postmottak. Brev {letter}, levering {delivery}.",
    left_out=(
        "Vedlegg er ikke med: de er {size}, eller {encoded} som e-post, og det er mer enn "
        "denne e-postmottakeren tar imot. "
        "Brevet er oppbevart i Postmottak med alle vedlegg. Hentes ut med: postmottak "
        "messages export {letter}"
    ),
    why_missing=MappingProxyType(
        {
            PartState.EXPIRED: "utløpt i Altinn før det ble hentet",
            PartState.PURGED: "slettet i Altinn før det ble hentet",
            PartState.SCAN_FAILED: "stoppet av virussjekken i Altinn",
            PartState.EXTERNAL: "ligger hos avsenderen, ikke i Altinn",
            PartState.UNAVAILABLE: "Altinn ga det ikke ut",
            PartState.DELETED: "slettet her da oppbevaringstiden var over",
        }
    ),
    moment_format="%d.%m.%Y kl. %H.%M",
    decimal=",",
)

EN = Phrases(
    language="en",
    service="Service",
    sender="Sender",
    party="Addressed to",
    recipients="Routed to",
    title="Title",
    published="Published",
    deadline="Deadline",
    confirmation="Confirmation",
    reference="Reference",
    attachments="Attachments",
    unknown="unknown",
    untitled="(no title)",
    confirmation_wanted="the sender asks for a confirmation",
    no_attachments="No attachments.",
    no_text="(The letter has no text.)",
    text_deleted="(The text was deleted {when}, when its retention period was over.)",
    missing="missing, {why}",
    doubtful="does not match the sender's checksum",
    footer="Received by Postmottak. Letter {letter}, delivery {delivery}.",
    left_out=(
        "Attachments are left out: they are {size}, or {encoded} as e-mail, which is more "
        "than this destination takes. "
        "The letter is kept in Postmottak with all its attachments. To get them: postmottak "
        "messages export {letter}"
    ),
    why_missing=MappingProxyType(
        {
            PartState.EXPIRED: "expired in Altinn before it was fetched",
            PartState.PURGED: "deleted in Altinn before it was fetched",
            PartState.SCAN_FAILED: "stopped by the virus scan in Altinn",
            PartState.EXTERNAL: "kept by the sender, not in Altinn",
            PartState.UNAVAILABLE: "Altinn did not hand it out",
            PartState.DELETED: "deleted here when its retention period was over",
        }
    ),
    moment_format="%Y-%m-%d %H:%M (Norway)",
    decimal=".",
)

WORDS: Mapping[Language, Phrases] = MappingProxyType({"nb": NB, "en": EN})
