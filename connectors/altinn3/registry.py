"""Altinn's public resource registry, and which of its resources carry which DPV service.

Three signs count, in this order: the Altinn 2 service code and edition in `resourceReferences`, the
same in the resource's id, and its title. Any sign of confidential post comes before all of them,
because taking it for another service's would open it. Sources: Altinn/altinn-resource-registry
`ResourceController.cs` (the list, without apps), `ServiceResource.cs`, `ResourceReference.cs`,
`ReferenceType.cs`; the titles "Post fra det offentlige innenfor …" and "Taushetsbelagt post fra det
offentlige innenfor …": Altinn/docs, "digital-post-til-virksomheter". The titles in Nynorsk and
English are not published, so that their wording is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.altinn3.platform import Platform
from daemon.core.dpv import ALL_SERVICES, CONFIDENTIAL_POST, DPV_SERVICES, Service, find_service
from daemon.core.errors import MailboxUnavailable
from daemon.core.outside_values import json_from

_LIST = "/resourceregistry/api/v1/resource/resourcelist?includeApps=false"
_OK = 200
_TYPE = "correspondenceservice"
_CODE = re.compile(r"(?:^|[^0-9])(4255|5504)[-_/]([0-9]{1,2})$")
_CONFIDENTIAL_CODE = re.compile(r"(?<![0-9])5504[-_/][0-9]{1,2}(?![0-9])")
_CONFIDENTIAL_IDS = frozenset(each.id for each in CONFIDENTIAL_POST.resources)
_TITLE = re.compile(
    r"^(?:taushetsbelagt|teieplikti?g?e?|confidential)?(?:"
    r"postfradetoffentl[ie]ge(?:innenfor|innanfor|innen|innan|om)"
    r"|(?:post|mail|letters?|correspondence)from(?:the)?public"
    r"(?:sector|authorit(?:y|ies)|agencies)?"
    r"(?:within|in|on|about|regarding|concerning)(?:the(?:field|area)of)?"
    r")(?P<area>.+)$"
)
_SECRET = re.compile(
    r"(?<!ikke)(?<!ikkje)(?<!uten)(?<!utan)(?<!not)(?<!non)(?<!without)"
    r"(?:taushetsbelagt|teieplikt|confidential)"
)
_DPV = ("dpv", "eformidling", "digitalpost")


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which service a resource carries, and by which sign."""

    service: str
    by: str
    """service code, id or title."""


@dataclass(frozen=True, kw_only=True)
class RegistryEntry:
    """A resource for letters, as the registry describes it."""

    id: str
    titles: Mapping[str, str]
    """By language."""
    references: tuple[tuple[str, str], ...]
    """Type and value of each reference to Altinn 2, in the registry's order."""

    @property
    def match(self) -> Match | None:
        """The service that it carries; None if it is none of DPV."""
        ordinary = self._ordinary
        if sign := self._sign_of_confidential(is_dpv=ordinary is not None):
            return Match(service=CONFIDENTIAL_POST.code, by=sign)
        return ordinary

    def match_of(self, read: Collection[str]) -> Match | None:
        """Return the match, where the resources that are `read` carry DPV, whatever their names."""
        if self.id in read and (sign := self._sign_of_confidential(is_dpv=True)):
            return Match(service=CONFIDENTIAL_POST.code, by=sign)
        return self.match

    def _sign_of_confidential(self, *, is_dpv: bool) -> str:
        """Return which sign says that it is confidential post; empty if none does.

        Words alone do not make a resource one of DPV.
        """
        if any(
            kind == "servicecode" and value.split("/")[0] == "5504"
            for kind, value in self.references
        ):
            return "service code"
        if is_confidential_id(self.id):
            return "id"
        return "title" if is_dpv and _says_confidential(self.id, self.titles) else ""

    @property
    def _ordinary(self) -> Match | None:
        if by_code := service_of_references(self.references):
            return Match(service=by_code, by="service code")
        if by_id := service_of_id(self.id):
            return Match(service=by_id, by="id")
        by_title = guess_service(self.id, self.titles)
        return Match(service=by_title, by="title") if by_title else None


class Registry:
    """The registry of one platform. May be asked from several threads."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def entries(self) -> tuple[RegistryEntry, ...]:
        """Return every resource for letters. Raises MailboxUnavailable."""
        answer = self._platform.look_up(_LIST, _entries)
        if answer.status != _OK:
            raise MailboxUnavailable(
                f"Altinn's resource registry answered {answer.status}; it is tried again later"
            )
        return tuple(answer.value)


def carriers(
    entries: Iterable[RegistryEntry], services: Iterable[str], read: Collection[str] = ()
) -> dict[str, list[str]]:
    """Return the ids of the resources that carry each of the services, by the service's code.

    A service that no resource carries is left out. Confidential post is always among them, so that
    it can be kept apart where it is not wanted, also if it was `read` as another service's before.
    """
    found: dict[str, list[str]] = {}
    wanted = tuple(dict.fromkeys((*services, CONFIDENTIAL_POST.code)))
    for each in entries:
        match = each.match_of(read)
        if match and match.service in wanted:
            found.setdefault(match.service, []).append(each.id)
    return {code: sorted(found[code]) for code in wanted if code in found}


def is_confidential_id(resource: str) -> bool:
    """Whether the id alone says that the resource carries confidential post."""
    return resource in _CONFIDENTIAL_IDS or _CONFIDENTIAL_CODE.search(resource) is not None


def _says_confidential(resource: str, titles: Mapping[str, str]) -> bool:
    return any(_SECRET.search(_letters(each)) for each in (resource, *titles.values()))


def confidential_apart(resources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the resources by service, with those that are confidential by their id under it."""
    apart: dict[str, list[str]] = {}
    for service, ids in resources.items():
        for each in ids:
            code = CONFIDENTIAL_POST.code if is_confidential_id(each) else service
            apart.setdefault(code, []).append(each)
    return {code: list(dict.fromkeys(ids)) for code, ids in apart.items()}


def service_of_references(references: Sequence[tuple[str, str]]) -> str | None:
    """Return the service whose Altinn 2 code and edition are among the references, if any.

    Several codes have their editions in the same order; one code may have several editions.
    """
    codes = [value for kind, value in references if kind == "servicecode"]
    editions = [value for kind, value in references if kind == "serviceeditioncode"]
    pairs = (
        [(codes[0], each) for each in editions]
        if len(codes) == 1
        else zip(codes, editions, strict=False)
    )
    return _first_known(f"{code}/{edition}" for code, edition in pairs)


def service_of_id(resource: str) -> str | None:
    """Return the service whose code and edition the resource's id ends with, if any."""
    found = _CODE.search(resource)
    return _first_known([f"{found[1]}/{found[2]}"]) if found else None


def _first_known(names: Iterable[str]) -> str | None:
    """Return the first known service; every edition of 5504 is confidential post."""
    codes = [CONFIDENTIAL_POST.code if name.startswith("5504/") else name for name in names]
    if CONFIDENTIAL_POST.code in codes:
        return CONFIDENTIAL_POST.code
    return next((code for code in codes if find_service(code)), None)


def guess_service(resource: str, names: Mapping[str, str]) -> str | None:
    """Return the code of the service that the resource's id or names contain, if any.

    A service's name counts only if they mention post from public agencies or digital post at all.
    """
    if is_confidential_id(resource):
        return CONFIDENTIAL_POST.code
    if found := _CODE.search(resource):
        code = _first_known([f"{found[1]}/{found[2]}"])
        return CONFIDENTIAL_POST.code if code and _says_confidential(resource, names) else code
    texts = [_letters(resource), *(_letters(each) for each in names.values())]
    titles = [found for each in texts if (found := _TITLE.match(each))]
    is_dpv = any(word in text for text in texts for word in _DPV)
    if not titles and not is_dpv:
        return None
    if _says_confidential(resource, names):
        return CONFIDENTIAL_POST.code
    areas = {found["area"] for found in titles}
    if exact := next((each.code for each in DPV_SERVICES if areas & _words(each)), None):
        return exact
    return next(
        (
            each.code
            for each in ALL_SERVICES
            if is_dpv and any(word in text for word in _words(each) for text in texts)
        ),
        None,
    )


def _words(service: Service) -> set[str]:
    process = service.process.split(":")[-2]
    names = (service.slug, process, service.nb, service.nn, service.en)
    return {_letters(each) for each in names}


def _letters(text: str) -> str:
    """Keep letters and digits only, so that `natur-miljo` is found in `Natur og miljø`."""
    plain = (
        text.casefold().replace("æ", "ae").replace("ø", "o").replace("oe", "o").replace("å", "a")
    )
    return re.sub(r"[^a-z0-9]", "", plain)


def _entries(body: bytes) -> list[RegistryEntry]:
    """Read the list. Raises ValueError."""
    items = json_from(body)
    if not isinstance(items, list):
        # nonsense from outside is a bad value
        raise ValueError("no list of resources")  # noqa: TRY004
    return [
        RegistryEntry(
            id=each["identifier"],
            titles=titles_of(each),
            references=tuple(_references(each.get("resourceReferences"))),
        )
        for each in items
        if isinstance(each, dict)
        and isinstance(each.get("identifier"), str)
        and str(each.get("resourceType")).lower() == _TYPE
    ]


def titles_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return an entry's titles by language."""
    title = entry.get("title")
    return (
        {str(language): text for language, text in title.items() if isinstance(text, str)}
        if isinstance(title, dict)
        else {}
    )


def _references(value: Any) -> Iterable[tuple[str, str]]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict) and str(each.get("referenceSource")).lower() == "altinn2":
            yield str(each.get("referenceType")).lower(), str(each.get("reference")).strip()
