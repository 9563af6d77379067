"""Ask Altinn which resources a party's letters may come through, as that is not published.

The resource registry has all resources, with the services that they carry (`registry.py`);
Dialogporten reports those in use that a system user may read (Altinn/dialogporten
`ServiceResources/Queries/Search`); and a list call shows whether Correspondence agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from connectors.altinn3.correspondence import Correspondence
from connectors.altinn3.listing import Window
from connectors.altinn3.platform import DIALOGPORTEN, Platform
from connectors.altinn3.problem_details import ResourceRefused
from connectors.altinn3.registry import (
    Match,
    Registry,
    RegistryEntry,
    guess_service,
    titles_of,
)
from connectors.altinn3.token_refusals import PartyRefused
from connectors.net.http_response import json_object
from daemon.core.dpv import CONFIDENTIAL_POST, find_service
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable
from daemon.core.ports import Channel, Discovered

_OK = 200
_NOT_FOUND = 404
_REFUSALS = frozenset({401, 403})
_IN_USE = "/dialogporten/api/v1/enduser/serviceresources"
_REGISTRY = "/resourceregistry/api/v1/resource/"
_PREFIX = "urn:altinn:resource:"
_TYPE = "correspondenceservice"


@dataclass(frozen=True, kw_only=True)
class InUse:
    """What Dialogporten reports for a party: names of resources by id, or why there are none."""

    names: Mapping[str, Mapping[str, str]]
    remark: str = ""
    failed: bool = False
    """It did not answer; it neither listed resources nor refused to."""


class Discovery:
    """The questions. No method changes anything; all may be called from several threads."""

    def __init__(
        self, platform: Platform, correspondence: Correspondence, clock: Callable[[], datetime]
    ) -> None:
        self._platform = platform
        self._correspondence = correspondence
        self._clock = clock
        self.registry = Registry(platform)

    def discover(
        self, channels: Sequence[Channel], services: Sequence[str]
    ) -> Iterator[Discovered]:
        """Find every party's resources.

        Those that the registry has for `services`, those in use, and those of `channels`. Where a
        question failed, a remark says so.
        """
        entries, remark = self._entries()
        read = {each.resource for each in channels}
        matches = {name: found for name, each in entries.items() if (found := each.match_of(read))}
        carrying = {
            name: found.service for name, found in matches.items() if found.service in services
        }
        covered = set(carrying.values())
        wanted = [each for each in channels if not (_is_guess(each) and each.service in covered)]
        for party in dict.fromkeys(each.party for each in channels):
            own = {each.resource: each for each in channels if each.party == party}
            listed = [each.resource for each in wanted if each.party == party]
            in_use = self.in_use(party)
            for resource in dict.fromkeys((*carrying, *in_use.names, *listed)):
                yield self._discovered(
                    party,
                    resource,
                    own.get(resource),
                    in_use,
                    entries.get(resource),
                    matches.get(resource),
                    remark,
                )

    def _entries(self) -> tuple[dict[str, RegistryEntry], str]:
        """Return the registry's entries by id, or none and a remark."""
        try:
            return {each.id: each for each in self.registry.entries()}, ""
        except MailboxError as error:
            return {}, str(error)

    def in_use(self, party: str) -> InUse:
        """Ask Dialogporten which resources in use the party's system user may read.

        Only correspondence resources are returned.
        """
        query = urlencode({"party": f"urn:altinn:organization:identifier-no:{party}"})
        try:
            answer = self._platform.get(party, f"{_IN_USE}?{query}", _resources, DIALOGPORTEN)
        except MailboxError as error:
            failed = not isinstance(error, AccessRefused)
            return InUse(names={}, remark=f"Dialogporten did not answer: {error}", failed=failed)
        if answer.status != _OK:
            failed = answer.status not in _REFUSALS
            verb = "did not answer" if failed else "refused"
            return InUse(
                names={}, remark=f"Dialogporten {verb}, with status {answer.status}", failed=failed
            )
        if answer.value is None:
            return InUse(names={}, remark="Dialogporten listed everything that anyone uses")
        return InUse(names=answer.value)

    def names(self, resource: str) -> Mapping[str, str] | None:
        """Return the registry's names of a resource; None if it has no such resource.

        Raises MailboxUnavailable.
        """
        answer = self._platform.look_up(
            _REGISTRY + quote(resource, safe=""), lambda body: titles_of(json_object(body))
        )
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
        self,
        party: str,
        resource: str,
        channel: Channel | None,
        in_use: InUse,
        entry: RegistryEntry | None,
        match: Match | None,
        remark: str,
    ) -> Discovered:
        refusal, remarks = self.refusal(party, resource), [in_use.remark, remark]
        failures = [remark, in_use.remark if in_use.failed else ""]
        if refusal and not isinstance(refusal, (PartyRefused, ResourceRefused)):
            failures.append(str(refusal))
        names = in_use.names.get(resource) or (entry.titles if entry else None)
        if names is None:
            names, missing, failure = self._look_up(resource)
            remarks.append(missing)
            failures.append(failure)
        guess = match.service if match else guess_service(resource, names)
        if guess == CONFIDENTIAL_POST.code:
            channel = channel if channel and channel.service == guess else None
        by_hand = channel is not None and not channel.presumed and match is None
        return Discovered(
            party=party,
            resource=resource,
            names=names,
            service=channel.service if channel else guess,
            guessed=channel.presumed if channel else guess is not None,
            configured=channel is not None,
            readable=refusal is None,
            refused=isinstance(refusal, ResourceRefused),
            unanswered=next(filter(None, failures), ""),
            matched="configuration" if by_hand else match.by if match else "",
            remark="; ".join(dict.fromkeys(filter(None, (*remarks, str(refusal or ""))))),
        )

    def _look_up(self, resource: str) -> tuple[Mapping[str, str], str, str]:
        """Return the names of one resource, or none and why; at last, why it is not known."""
        try:
            names = self.names(resource)
        except MailboxError as error:
            return {}, str(error), str(error)
        remark = "" if names is not None else "the resource registry has no such resource"
        return names or {}, remark, ""


def _is_guess(channel: Channel) -> bool:
    """Whether the resource is neither configured nor named by public source code."""
    service = find_service(channel.service)
    known = {each.id for each in service.resources if each.known} if service else set()
    return channel.presumed and channel.resource not in known


def _resources(body: bytes) -> dict[str, dict[str, str]] | None:
    """Return the names of resources by id; None for a list that is not the party's own."""
    document = json_object(body)
    items = document.get("items")
    if not isinstance(items, list):
        # nonsense from outside is a bad value
        raise ValueError("no list of resources")  # noqa: TRY004
    if document.get("isFullCatalogueFallback") is True:
        return None  # everything that anyone uses, which says nothing about this party
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
