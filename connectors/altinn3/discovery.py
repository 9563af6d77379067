"""Ask Altinn which resources a party's letters may come through, as that is not published.

Dialogporten reports the resources in use that a system user may read, the resource registry what a
resource is called (Altinn/dialogporten `ServiceResources/Queries/Search`), and a list call whether
Correspondence agrees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from connectors.altinn3.correspondence import Correspondence
from connectors.altinn3.listing import Window
from connectors.altinn3.platform import DIALOGPORTEN, Platform
from connectors.net.http_response import json_object
from daemon.core.dpv import ALL_SERVICES, Service
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable
from daemon.core.ports import Channel, Discovered

_OK = 200
_NOT_FOUND = 404
_IN_USE = "/dialogporten/api/v1/enduser/serviceresources"
_REGISTRY = "/resourceregistry/api/v1/resource/"
_PREFIX = "urn:altinn:resource:"
_TYPE = "correspondenceservice"


@dataclass(frozen=True, kw_only=True)
class InUse:
    """What Dialogporten reports for a party: names of resources by id, or why there are none."""

    names: Mapping[str, Mapping[str, str]]
    remark: str = ""


class Discovery:
    """The questions. No method changes anything; all may be called from several threads."""

    def __init__(
        self, platform: Platform, correspondence: Correspondence, clock: Callable[[], datetime]
    ) -> None:
        self._platform = platform
        self._correspondence = correspondence
        self._clock = clock

    def discover(self, channels: Sequence[Channel]) -> Iterator[Discovered]:
        """Find every party's resources: those in use, and those of `channels`.

        Where a question failed, a remark says so.
        """
        for party in dict.fromkeys(each.party for each in channels):
            own = {each.resource: each for each in channels if each.party == party}
            in_use = self.in_use(party)
            for resource in dict.fromkeys((*in_use.names, *own)):
                yield self._discovered(party, resource, own.get(resource), in_use)

    def in_use(self, party: str) -> InUse:
        """Ask Dialogporten which resources in use the party's system user may read.

        Only correspondence resources are returned.
        """
        query = urlencode({"party": f"urn:altinn:organization:identifier-no:{party}"})
        try:
            answer = self._platform.get(party, f"{_IN_USE}?{query}", _resources, DIALOGPORTEN)
        except MailboxError as error:
            return InUse(names={}, remark=f"Dialogporten did not answer: {error}")
        if answer.status != _OK:
            return InUse(names={}, remark=f"Dialogporten refused, with status {answer.status}")
        return InUse(names=answer.value)

    def names(self, resource: str) -> Mapping[str, str] | None:
        """Return the registry's names of a resource; None if it has no such resource.

        Raises MailboxUnavailable.
        """
        answer = self._platform.look_up(_REGISTRY + quote(resource, safe=""), _title)
        if answer.status == _NOT_FOUND:
            return None
        if answer.status != _OK:
            raise MailboxUnavailable(
                f"the resource registry answered {answer.status} for {resource}"
            )
        return dict(answer.value)

    def refusal(self, party: str, resource: str) -> MailboxError | None:
        """Return why the party's letters in `resource` cannot be listed; None if they can."""
        try:
            self._correspondence.ids(party, resource, Window(self._clock(), None))
        except (AccessRefused, MailboxUnavailable) as error:
            return error
        return None

    def _discovered(
        self, party: str, resource: str, channel: Channel | None, in_use: InUse
    ) -> Discovered:
        refusal, remarks = self.refusal(party, resource), [in_use.remark]
        names = in_use.names.get(resource)
        try:
            names = names or self.names(resource)
        except MailboxError as error:
            remarks.append(str(error))
        else:
            remarks.append(
                "" if names is not None else "the resource registry has no such resource"
            )
        guess = guess_service(resource, names or {})
        return Discovered(
            party=party,
            resource=resource,
            names=names or {},
            service=channel.service if channel else guess,
            guessed=channel.presumed if channel else guess is not None,
            configured=channel is not None,
            readable=refusal is None,
            remark="; ".join(filter(None, (*remarks, str(refusal or "")))),
        )


def _resources(body: bytes) -> dict[str, dict[str, str]]:
    items = json_object(body).get("items")
    if not isinstance(items, list):
        # nonsense from outside is a bad value
        raise ValueError("no list of resources")  # noqa: TRY004
    found = (each.get("serviceResource") for each in items if isinstance(each, dict))
    return {
        each["id"].removeprefix(_PREFIX): _names(each.get("name"))
        for each in found
        if isinstance(each, dict)
        and isinstance(each.get("id"), str)
        and str(each.get("resourceType")).lower() == _TYPE
    }


def _names(value: Any) -> dict[str, str]:
    pairs = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return {str(each.get("languageCode")): str(each.get("value")) for each in pairs}


def _title(body: bytes) -> dict[str, str]:
    title = json_object(body).get("title")
    return (
        {str(language): text for language, text in title.items() if isinstance(text, str)}
        if isinstance(title, dict)
        else {}
    )


def guess_service(resource: str, names: Mapping[str, str]) -> str | None:
    """Return the code of the service that the resource's id or names contain, if any.

    A service's name counts only if they mention digital post at all.
    """
    if found := re.search(r"(4255|5504)[-_/]([0-9]{1,2})$", resource):
        return next(
            (each.code for each in ALL_SERVICES if each.code == f"{found[1]}/{found[2]}"), None
        )
    texts = [_letters(resource), *(_letters(each) for each in names.values())]
    if not any(word in text for text in texts for word in ("dpv", "eformidling", "digitalpost")):
        return None
    return next(
        (
            each.code
            for each in ALL_SERVICES
            if any(word in text for word in _words(each) for text in texts)
        ),
        None,
    )


def _words(service: Service) -> set[str]:
    process = service.process.split(":")[-2]
    return {_letters(each) for each in (service.slug, process, service.nb, service.nn)}


def _letters(text: str) -> str:
    """Keep letters and digits only, so that `natur-miljo` is found in `Natur og miljø`."""
    plain = (
        text.casefold().replace("æ", "ae").replace("ø", "o").replace("oe", "o").replace("å", "a")
    )
    return re.sub(r"[^a-z0-9]", "", plain)
