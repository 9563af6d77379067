"""The ten message services of Digital post til virksomheter, and confidential post.

Codes, subject areas and eFormidling processes: Altinn/docs `digital-post-til-virksomheter` and
felleslosninger/docs `saksbehandling.md`. Which Altinn 3 resource carries a service is not
published: each resource below says how certain it is, and an operator configures the real ones in
`resources`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from daemon.core.spelling import did_you_mean

_PROCESS = "urn:no:difi:profile:arkivmelding:{}:ver1.0"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """An Altinn 3 resource that may carry a service."""

    id: str
    known: bool
    """Whether public source code names it for this service; if not, the name is only presumed."""
    source: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """One DPV service.

    `code` is Altinn 2's service code and edition, which is also its name in all configuration.
    """

    code: str
    slug: str
    nb: str
    nn: str
    en: str
    process: str
    """eFormidling's process identifier for the subject area."""
    resources: tuple[Resource, ...]
    confidential: bool = False

    @property
    def names(self) -> dict[str, str]:
        """The service's name by language: nb, nn, en."""
        return {"nb": self.nb, "nn": self.nn, "en": self.en}


def _migrated(code: str) -> Resource:
    resource = f"asf-migratedcorrespondence-{code.replace('/', '-')}"
    return Resource(
        id=resource,
        known=False,
        source="naming of other owners' migrated Altinn 2 services; the owner code asf is a guess",
    )


def _service(
    edition: int, slug: str, process: str, nb: str, en: str, *known: Resource, nn: str = ""
) -> Service:
    """Return a service of 4255. `nn` is its name in Nynorsk, if that differs from Bokmål."""
    code = f"4255/{edition}"
    return Service(
        code=code,
        slug=slug,
        nb=nb,
        nn=nn or nb,
        en=en,
        process=_PROCESS.format(process),
        resources=(*known, _migrated(code)),
    )


_ADMINISTRATION = Resource(
    id="eformidling-dpv-administrasjon",
    known=True,
    source="efm-integrasjonspunkt, restmocks for 4255/10",
)
_CONFIDENTIAL = Resource(
    id="eformidling-dpv-taushetsbelagt",
    known=True,
    source="efm-integrasjonspunkt, difi.move.dpv.sensitiveResource",
)

CONFIDENTIAL_POST = Service(
    code="5504/1",
    slug="taushetsbelagt",
    nb="Taushetsbelagt post",
    nn="Teiepliktig post",
    en="Confidential post",
    process=_PROCESS.format("taushetsbelagt"),
    resources=(_CONFIDENTIAL, _migrated("5504/1")),
    confidential=True,
)

# two lines for each service, so that it reads as a table
# fmt: off
DPV_SERVICES: tuple[Service, ...] = (
    _service(1, "plan-bygg-geodata", "planByggOgGeodata",
             "Plan, bygg og geodata", "Planning, building and geodata"),
    _service(2, "helse-sosial-omsorg", "helseSosialOgOmsorg",
             "Helse, sosial og omsorg", "Health, social services and care"),
    _service(3, "oppvekst-utdanning", "oppvekstOgUtdanning",
             "Oppvekst og utdanning", "Childhood and education"),
    _service(4, "kultur-idrett-fritid", "kulturIdrettOgFritid",
             "Kultur, idrett og fritid", "Culture, sports and leisure"),
    _service(5, "trafikk-reiser-samferdsel", "trafikkReiserOgSamferdsel",
             "Trafikk, reiser og samferdsel", "Traffic, travel and transport"),
    _service(6, "natur-miljo", "naturOgMiljoe",
             "Natur og miljø", "Nature and environment"),
    _service(7, "naeringsutvikling", "naeringsutvikling",
             "Næringsutvikling", "Business development"),
    _service(8, "skatter-avgifter", "skatterOgAvgifter",
             "Skatter og avgifter", "Taxes and duties", nn="Skattar og avgifter"),
    _service(9, "tekniske-tjenester", "tekniskeTjenester",
             "Tekniske tjenester", "Technical services", nn="Tekniske tenester"),
    _service(10, "administrasjon", "administrasjon",
             "Administrasjon", "Administration", _ADMINISTRATION),
)
# fmt: on

ALL_SERVICES: tuple[Service, ...] = (*DPV_SERVICES, CONFIDENTIAL_POST)

_BY_NAME = MappingProxyType(
    {name: service for service in ALL_SERVICES for name in (service.code, service.slug)}
)


def find_service(name: str) -> Service | None:
    """Return the service with this code (`4255/8`) or slug (`skatter-avgifter`), or None."""
    return _BY_NAME.get(name)


def known_service(name: str) -> Service:
    """Return the service with this code or slug.

    Raises ValueError, with the closest name, if it does not exist.
    """
    service = find_service(name)
    if service is None:
        hint = did_you_mean(name, service_names())
        raise ValueError(
            f"{name!r} is not a known service; "
            f"{hint or 'write a code such as 4255/8, or see `postmottak services`'}"
        )
    return service


def service_code(name: str) -> str:
    """Return the code of the service with this code or slug. Raises ValueError."""
    return known_service(name).code


def service_names() -> tuple[str, ...]:
    """Return every code and slug, in the order of the table."""
    return tuple(_BY_NAME)
