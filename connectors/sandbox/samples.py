"""Sample letters for the demo and for integrators.

They are one for each service, one confidential, one large, and one with hostile file names. Senders
are real agencies with their real numbers; what they write is made up. Resources that begin with
`sandbox-` are made up too: it is not published which resources carry most of the services.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.pdf import pdf
from daemon.core.dpv import ALL_SERVICES, CONFIDENTIAL_POST, find_service

_NAMESPACE = UUID("0d1b4bb5-7a0c-5f5e-9d7e-1f2a3b4c5d6e")
_BETWEEN_LETTERS = timedelta(minutes=1)
_MULTIPLE_NAMES = (
    "Vedtak.pdf",
    "Vedlegg 1 - tegninger.pdf",
    "Vedlegg 2 - situasjonskart.pdf",
    "Oversikt.csv",
)

HOSTILE_NAMES = (
    "../../etc/passwd",
    "vedtak.pdf",
    "vedtak.pdf",
    "CON.txt",
    f"{'a' * 296}.pdf",
    "🎉 gratulerer 🇳🇴.pdf",
    "Ærlig øvelse på Ås.pdf",
    "",
)
"""File names that no sender should write, but some will."""


@dataclass(frozen=True, kw_only=True)
class _Sample:
    service: str
    title: str
    sender: str
    sender_org: str
    text: str
    files: tuple[str, ...] = ()
    confirmation_needed: bool = False
    reply_options: tuple[tuple[str, str | None], ...] = ()


_SAMPLES = (
    _Sample(
        service="4255/1",
        title="Nye matrikkelopplysninger for eiendommen",
        sender="Kartverket",
        sender_org="971040238",
        text=(
            "Vi har oppdatert matrikkelen etter oppmålingsforretningen.\n\nSe vedlagte "
            "matrikkelbrev."
        ),
        files=("Matrikkelbrev.pdf",),
    ),
    _Sample(
        service="4255/2",
        title="Innkalling til møte om bedriftshelsetjeneste",
        sender="Helsedirektoratet",
        sender_org="983544622",
        text="Vi inviterer til informasjonsmøte om nye krav til bedriftshelsetjenesten.",
        files=("Program.pdf",),
    ),
    _Sample(
        service="4255/3",
        title="Godkjenning som lærebedrift",
        sender="Utdanningsdirektoratet",
        sender_org="970018131",
        text="Søknaden om godkjenning som lærebedrift er innvilget.",
        files=("Godkjenning.pdf",),
    ),
    _Sample(
        service="4255/4",
        title="Svar på søknad om tilskudd til kulturarrangement",
        sender="Kulturdirektoratet",
        sender_org="971527412",
        text="Søknaden er innvilget med **50 000 kroner**. Bekreft at tilskuddet tas imot.",
        files=("Tilskuddsbrev.pdf",),
        confirmation_needed=True,
    ),
    _Sample(
        service="4255/5",
        title="Varsel om stenging av fylkesvei",
        sender="Statens vegvesen",
        sender_org="971032081",
        text=(
            "<p>Veien blir stengt mellom klokken 22 og 06 i uke 34.</p><p>Omkjøring er skiltet.</p>"
        ),
        files=("Omkjøringskart.pdf",),
    ),
    _Sample(
        service="4255/6",
        title="Tilsyn med utslippstillatelse",
        sender="Miljødirektoratet",
        sender_org="999601391",
        text="Vi kommer på tilsyn. Vedlagt følger en oversikt over hva vi ønsker å se.",
        files=("Varsel om tilsyn.pdf",),
    ),
    _Sample(
        service="4255/7",
        title="Tilsagn om etablerertilskudd",
        sender="Innovasjon Norge",
        sender_org="986399445",
        text="Vi har gleden av å gi tilsagn om etablerertilskudd. Vilkårene står i vedlegget.",
        files=("Tilsagnsbrev.pdf",),
        reply_options=(("https://www.example.no/aksept", "Godta tilsagnet"),),
    ),
    _Sample(
        service="4255/8",
        title="Vedtak om merverdiavgift, 3. termin",
        sender="Skatteetaten",
        sender_org="974761076",
        text="Vi har behandlet mva-meldingen for 3. termin. Vedtaket ligger ved.",
        files=("Vedtak om merverdiavgift.pdf",),
    ),
    _Sample(
        service="4255/9",
        title="Tildeling av frekvenser",
        sender="Nasjonal kommunikasjonsmyndighet",
        sender_org="974446871",
        text="Søknaden om frekvenser er innvilget for perioden som står i vedlegget.",
        files=("Frekvenstillatelse.pdf",),
    ),
    _Sample(
        service="4255/10",
        title="Påminnelse om innsending av årsregnskap",
        sender="Brønnøysundregistrene",
        sender_org="974760673",
        text="Fristen for å sende inn årsregnskapet er 31. juli.",
    ),
    _Sample(
        service="5504/1",
        title="Opplysninger om en ansatt",
        sender="Nav",
        sender_org="889640782",
        text="Dette brevet er taushetsbelagt.",
        files=("Opplysninger.pdf",),
    ),
    _Sample(
        service="4255/1",
        title="Byggesak 2026/4711: tillatelse til tiltak",
        sender="Oslo kommune",
        sender_org="958935420",
        text=(
            "Plan- og bygningsetaten har gitt tillatelse til tiltaket. Tegninger og kart ligger "
            "ved."
        ),
        files=_MULTIPLE_NAMES,
    ),
    _Sample(
        service="4255/10",
        title="Oversendelse av dokumenter fra arkivet",
        sender="Bergen kommune",
        sender_org="964338531",
        text="Dokumentene er sendt slik de lå i arkivet, med navnene de hadde der.",
        files=HOSTILE_NAMES,
    ),
)

SAMPLES = len(_SAMPLES)
"""The number of letters before they repeat."""


def sandbox_resource(service: str) -> str:
    """Return the resource that carries a service (code or slug) in the sandbox.

    It is the real one if that is known. Raises KeyError.
    """
    found = find_service(service)
    if not found:
        raise KeyError(service)
    known = next((resource.id for resource in found.resources if resource.known), None)
    return known or f"sandbox-dpv-{found.slug}"


def sandbox_resources(*, confidential: bool = True) -> dict[str, str]:
    """Return the resource of each service, by code; optionally with confidential post."""
    return {
        each.code: sandbox_resource(each.code)
        for each in ALL_SERVICES
        if confidential or each is not CONFIDENTIAL_POST
    }


def letters(number: int, *, party: str, now: datetime) -> tuple[PretendLetter, ...]:
    """Return this many letters to `party`, the newest published now, one for each minute before.

    The same for the same arguments. The first ten are one for each service; then a confidential
    one, one with several attachments, one with hostile names; then they repeat.
    """
    return tuple(_letter(index, party, now) for index in range(number))


def _letter(index: int, party: str, now: datetime) -> PretendLetter:
    sample = _SAMPLES[index % SAMPLES]
    lap = index // SAMPLES
    title = sample.title if not lap else f"{sample.title} ({lap + 1})"
    published = now - index * _BETWEEN_LETTERS
    letter_id = uuid5(_NAMESPACE, f"{party}/{index}")
    return PretendLetter(
        id=str(letter_id),
        party=party,
        resource=sandbox_resource(sample.service),
        title=title,
        summary=None,
        body=sample.text,
        message_sender=sample.sender,
        sender_org=sample.sender_org,
        senders_reference=str(uuid5(letter_id, "reference")),
        created_at=published - timedelta(seconds=3),
        requested_at=published - timedelta(seconds=4),
        published_at=published,
        confirmation_needed=sample.confirmation_needed,
        reply_options=sample.reply_options,
        attachments=tuple(
            _attachment(letter_id, number, name, title)
            for number, name in enumerate(sample.files, start=1)
        ),
    )


def _attachment(letter_id: UUID, number: int, name: str, title: str) -> PretendAttachment:
    text = f"{title}\nVedlegg {number}"
    content = pdf(text) if name.endswith(".pdf") else text.encode()
    return PretendAttachment(
        id=str(uuid5(letter_id, f"attachment {number}")),
        name=name,
        display_name=f"Vedlegg {number}",
        content=content,
    )
