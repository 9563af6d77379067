"""How a recipient finds its resources: Dialogporten's list, and the public resource registry.

Dialogporten lists the authorised service resources; one only when it is in use, with its type in
lower case and its id without the URN. Sources: Altinn/dialogporten
…/EndUser/ServiceResources/Queries/Search, Altinn/altinn-resource-registry ResourceController.cs,
ServiceResource.cs, ResourceReference.cs (its tests' Data/Resources show a migrated service with its
Altinn 2 code and edition).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from connectors.sandbox.altinn3.access import DIALOGPORTEN_SCOPE, Access
from connectors.sandbox.altinn3.correspondence import Correspondences
from connectors.sandbox.altinn3.tokens import Tokens, bearer_text
from connectors.sandbox.http_server import Request, Response
from connectors.sandbox.letters import urn
from daemon.core.organisation import is_organisation_number

_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_MOST_PARTIES = 100
_LANGUAGES = ("nb", "nn", "en")


@dataclass(frozen=True, kw_only=True)
class PretendResource:
    """An entry in the resource registry."""

    id: str
    title: str
    titles: Mapping[str, str] = field(default_factory=dict)
    """In nn and en, where they are not the same as `title`, which is nb."""
    service: str = ""
    """Altinn 2's service code and edition, such as 4255/8; empty where there are no references."""
    owner: str = "digdir"
    owner_organisation: str = "991825827"
    type: str = "CorrespondenceService"
    delegable: bool = True
    status: str = "Completed"
    access_packages: tuple[str, ...] = field(
        default=("urn:altinn:accesspackage:ordinaer-post-til-virksomheten",)
    )


class Discovery:
    """The registers and the endpoints that read them. May be used from any thread."""

    def __init__(self, letters: Correspondences, access: Access, tokens: Tokens) -> None:
        self._letters = letters
        self._access = access
        self._tokens = tokens
        self._lock = threading.Lock()
        self._resources: dict[str, PretendResource] = {}

    def add(self, resource: PretendResource) -> None:
        """Register a resource, replacing one with the same id."""
        with self._lock:
            self._resources[resource.id] = resource

    def add_missing(self, resource_id: str) -> None:
        """Register a resource that has no description yet."""
        with self._lock:
            self._resources.setdefault(
                resource_id, PretendResource(id=resource_id, title=resource_id)
            )

    def remove(self, resource_id: str) -> None:
        """Take a resource out of the registry; its letters stay."""
        with self._lock:
            self._resources.pop(resource_id, None)

    def resource_list(self, request: Request) -> Response:
        """Answer `GET /resourceregistry/api/v1/resource/resourcelist`: needs no token.

        With `includeApps=false`, apps are left out.
        """
        apps = parse_qs(request.query).get("includeApps", ["true"])[0].lower() != "false"
        with self._lock:
            listed = [each for each in self._resources.values() if apps or each.type != "AltinnApp"]
            return _json([_entry(resource) for resource in listed])

    def resource(self, resource_id: str) -> Response:
        """Answer `GET /resourceregistry/api/v1/resource/{id}`: needs no token."""
        with self._lock:
            found = self._resources.get(resource_id)
        return _json(_entry(found)) if found else Response(status=404)

    def metadata(self, _request: Request) -> Response:
        """Answer `GET /dialogporten/api/v1/metadata/serviceresources`: everything in use.

        Needs no token.
        """
        return self._items(self._letters.resources())

    def service_resources(self, request: Request) -> Response:
        """Answer `GET /dialogporten/api/v1/enduser/serviceresources`.

        It lists the resources in use that the caller may read.
        """
        text = bearer_text(request.headers.get("authorization"))
        bearer = self._tokens.read(text) if text else None
        if not bearer:
            return Response(status=401, headers=(("WWW-Authenticate", "Bearer"),))
        if DIALOGPORTEN_SCOPE not in bearer.scopes:
            return Response(status=403)
        own = bearer.organisation or ""
        asked = parse_qs(request.query, keep_blank_values=True).get("party", [urn(own)])
        parties = [party.removeprefix(urn("")) for party in asked if party.startswith(urn(""))]
        if (
            len(parties) != len(asked)
            or len(asked) > _MOST_PARTIES
            or not all(is_organisation_number(party) for party in parties)
        ):
            return _invalid_party()
        readable = (
            self._access.resources_of(bearer.system_user, own) if own in parties else frozenset()
        )
        return self._items(readable & self._letters.resources())

    def _items(self, resource_ids: frozenset[str]) -> Response:
        with self._lock:
            return _json(
                {
                    "items": [
                        _item(self._resources[each])
                        for each in sorted(resource_ids)
                        if each in self._resources
                    ]
                }
            )


def _json(document: Any) -> Response:
    return Response(
        status=200,
        body=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        headers=_JSON,
    )


def _invalid_party() -> Response:
    problem = {
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "errors": {
            "party": [
                (
                    "A party must be a URN with a valid organisation number, and there may be 100 "
                    "at most"
                )
            ]
        },
    }
    return Response(
        status=400,
        body=json.dumps(problem).encode(),
        headers=(("Content-Type", "application/problem+json"),),
    )


def _words(text: str, others: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, str]]:
    return [
        {"languageCode": language, "value": value}
        for language, value in {"nb": text, **others}.items()
    ]


def _item(resource: PretendResource) -> dict[str, Any]:
    return {
        "serviceResource": {
            "id": resource.id,
            "resourceType": resource.type.lower(),
            "status": resource.status,
            "isDelegable": resource.delegable,
            "minimumAuthenticationLevel": 3,
            "name": _words(resource.title, resource.titles),
            "links": {"self": f"/resourceregistry/api/v1/resource/{resource.id}"},
        },
        "serviceOwner": {
            "code": resource.owner,
            "orgNumber": resource.owner_organisation,
            "name": _words(resource.owner),
        },
        "roles": [],
        "accessPackages": [
            {"urn": each, "name": [], "links": {"self": each}} for each in resource.access_packages
        ],
    }


def _entry(resource: PretendResource) -> dict[str, Any]:
    return {
        "identifier": resource.id,
        "version": "1",
        "title": {
            language: resource.titles.get(language, resource.title) for language in _LANGUAGES
        },
        "description": {},
        "status": resource.status,
        "resourceReferences": _references(resource.service),
        "delegable": resource.delegable,
        "visible": True,
        "hasCompetentAuthority": {
            "name": {},
            "organization": resource.owner_organisation,
            "orgcode": resource.owner,
        },
        "resourceType": resource.type,
    }


def _references(service: str) -> list[dict[str, str]]:
    code, _, edition = service.partition("/")
    pairs = (("ServiceCode", code), ("ServiceEditionCode", edition)) if service else ()
    return [
        {"referenceSource": "Altinn2", "reference": value, "referenceType": kind}
        for kind, value in pairs
    ]
