"""What the PDF of an evidence says, in Norwegian and in English."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from daemon.core.times import in_norway, in_utc, written
from daemon.routing.explain import Tried

Language = Literal["nb", "en"]
Tries: TypeAlias = Mapping[int, Sequence[Tried]]
"""Every route that a decision tried, by the decision's number."""

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Bevis for et brev", "Evidence of a letter"),
    "letter": ("Brevet", "The letter"),
    "heading": ("Tittel", "Title"),
    "sender": ("Avsender", "From"),
    "technical": ("Teknisk avsender", "Technical sender"),
    "party": ("Mottaker", "To"),
    "service": ("Tjeneste", "Service"),
    "mailbox": ("Meldingsboks", "Mailbox"),
    "external": ("Id i meldingsboksen", "Id in the mailbox"),
    "id": ("Id her", "Id here"),
    "reference": ("Avsenders referanse", "The sender's reference"),
    "created": ("Opprettet", "Created"),
    "published": ("Publisert", "Published"),
    "fetched": ("Hentet hit", "Fetched to here"),
    "due": ("Avsenders frist", "The sender's deadline"),
    "confidential": ("Taushetsbelagt", "Confidential"),
    "yes": ("ja", "yes"),
    "made": ("Beviset ble laget", "Evidence made"),
    "by": ("av", "by"),
    "gone": (
        "Brevet er slettet etter reglene for oppbevaring. Det som er igjen, står nedenfor.",
        "The letter was deleted by the rules of keeping. What is left is below.",
    ),
    "files": ("Tekst og vedlegg", "Text and attachments"),
    "text": ("Tekst", "Text"),
    "not here": ("ikke her", "not here"),
    "deleted": ("Slettet", "Deleted"),
    "rule": ("regel", "rule"),
    "happened": ("Hva som har skjedd", "What happened"),
    "decided": ("fordelt av", "decided by"),
    "attempt": ("forsøk på levering til", "attempt of delivery to"),
    "taken": ("hentet av mottakeren", "picked up by the receiver"),
    "acknowledged": ("kvittert av", "acknowledged by"),
    "rejected": ("avvist av", "rejected by"),
    "deadline": ("frist", "deadline"),
    "hold": ("holdt tilbake fra sletting av", "put under a legal hold by"),
    "hold ended": ("ikke lenger holdt tilbake fra sletting", "legal hold ended"),
    "mark": ("meldt til avsender", "reported to the sender"),
    "letter-opened": ("åpnet av", "opened by"),
    "attachment-downloaded": ("vedlegg lastet ned av", "attachment downloaded by"),
    "evidence-exported": ("bevis laget av", "evidence exported by"),
    "letter-exported": ("eksportert av", "exported by"),
    "refused": ("avvist adgang for", "access refused to"),
    "deliveries": ("Leveringer", "Deliveries"),
    "receipt": ("kvittering", "receipt"),
    "for": ("for", "for"),
    "why": ("Hvorfor det gikk dit det gikk", "Why it went there"),
    "table": ("Fordelingstabell (SHA-256)", "Routing table (SHA-256)"),
    "won": ("tok brevet", "matched"),
    "copy": ("kopi", "copy"),
    "overruled": ("passer, men brevet følger saken", "overruled"),
    "lost": ("passer ikke", "no match"),
    "not enabled": ("slått av", "not enabled"),
    "not reached": ("ikke prøvd", "not reached"),
    "delivered": ("levert", "delivered"),
    "deferred": ("utsatt", "deferred"),
    "dead": ("gitt opp", "dead"),
    "pending": ("venter", "pending"),
    "claimed": ("venter", "pending"),
    "held": ("holdt tilbake", "held"),
    "withdrawn": ("trukket tilbake", "withdrawn"),
    "confirmed": ("bekreftet", "confirmed"),
    "dropped": ("frafalt", "dropped"),
    "handled": ("ferdig behandlet", "handled"),
    "present": ("her", "present"),
    "person": ("en person har bestemt dette", "a person decided this"),
    "journal": ("Journalen", "The journal"),
    "journal said": (
        "Hver rad har en hash av raden foran. Et signert hode fester alle rader før det.",
        "Each row has a hash of the row before. A signed head fixes all rows before it.",
    ),
    "row": ("rad", "row"),
    "head": ("signert hode av rad", "signed head of row"),
    "verify": ("Slik kontrolleres beviset", "How to verify it"),
    "verify said": (
        (
            "Kjør `postmottak evidence verify` på filen, på en hvilken som helst maskin. "
            "Sammenlign fingeravtrykket av nøkkelen med det virksomheten selv oppgir. "
            "Alt som kan kontrolleres, er i evidence.json; denne fremstillingen er for lesere."
        ),
        (
            "Run `postmottak evidence verify` with the file, on any machine. "
            "Compare the fingerprint of the key with the one that the organisation itself names. "
            "What can be verified is in evidence.json; these pages are for readers."
        ),
    ),
    "fingerprint": ("Nøkkelens fingeravtrykk", "The key's fingerprint"),
    "key": ("Offentlig nøkkel", "Public key"),
    "stored": ("Alle verdier slik de er lagret, tider i UTC", "All values as stored, times in UTC"),
    "letter text": ("Brevets tekst", "The letter's text"),
    "replaced": (
        "Tegn som denne fremstillingen ikke kan vise, er erstattet. De står i evidence.json.",
        "Characters that these pages cannot show are replaced. They are in evidence.json.",
    ),
}


@dataclass(frozen=True)
class EvidenceWords:
    """One language."""

    language: Language
    reason_of: Callable[[Tried], str] | None = None
    """Says in the language why a route took a letter or not; None for routing's own words."""

    def reason(self, tried: Tried) -> str:
        """Return why a route took the letter, or why not."""
        return self.reason_of(tried) if self.reason_of else tried.reason

    def __getitem__(self, name: str) -> str:
        """Return the words for something. Raises KeyError."""
        nb, en = _WORDS[name]
        return nb if self.language == "nb" else en

    def of_kind(self, kind: str) -> str:
        """Return the words for a kind of event; itself if there are none."""
        return self[kind] if kind in _WORDS else kind

    def moment(self, value: object) -> str:
        """Return a time of the store in Norway, with the zone; what cannot be one as it is."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            return str(value)
        local = in_norway(in_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
        form = "%d.%m.%Y %H:%M:%S" if self.language == "nb" else "%Y-%m-%d %H:%M:%S"
        return f"{written(local, form)} {local.strftime('%z')}"
