"""The channels that an Altinn 3 mailbox lists: each party's services, and their resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daemon.core.dpv import CONFIDENTIAL_POST, Service
from daemon.core.ports import Channel


@dataclass(frozen=True, kw_only=True)
class WantedChannels:
    """What the configuration asks for, but for the resources."""

    parties: tuple[str, ...]
    services: tuple[Service, ...]
    """Confidential post included, unless it is off."""
    list_confidential: bool
    """Confidential post is only listed."""
    fetch_confidential: bool


def channels_through(
    wanted: WantedChannels, resources: Mapping[str, Sequence[str]], *, found: bool
) -> tuple[Channel, ...]:
    """Return every channel, by party, service and resource.

    `resources` are those of a service, by its code; a service that is missing there is listed
    through the resources that are known or presumed to carry it. With `found`, they come from the
    registry and not from the configuration: resources that public source code names are then
    listed as well, in case the registry has left them out.
    """
    return tuple(
        channel
        for party in wanted.parties
        for service in wanted.services
        for channel in _channels(wanted, party, service, resources, found=found)
    )


def _channels(
    wanted: WantedChannels,
    party: str,
    service: Service,
    resources: Mapping[str, Sequence[str]],
    *,
    found: bool,
) -> Iterator[Channel]:
    list_only = service is CONFIDENTIAL_POST and wanted.list_confidential
    named = resources.get(service.code, ())
    # No role includes the right to confidential post, so where it was not configured it is not an
    # error that it cannot be listed.
    presumed = dict.fromkeys(named, found and list_only)
    claimed = {each for ids in resources.values() for each in ids}
    for each in service.resources:
        if each.id not in claimed and (not named or (found and each.known)):
            presumed[each.id] = bool(named) or list_only or not each.known
    for resource, is_presumed in presumed.items():
        yield Channel(
            party=party,
            service=service.code,
            resource=resource,
            presumed=is_presumed,
            list_only=list_only,
            fetch_confidential=wanted.fetch_confidential,
        )
