"""The settings of an Altinn 3 mailbox, `[mailbox.NAME]`, and the channels that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    field_validator,
)

from connectors.altinn3.channels import WantedChannels, channels_through
from connectors.altinn3.company_register import register_address
from connectors.altinn3.system_user_settings import ADDRESSES, SystemUserSettings
from connectors.net.settings import without_repeats
from daemon.core.dpv import CONFIDENTIAL_POST, DPV_SERVICES, Service, known_service
from daemon.core.model import Policy
from daemon.core.ports import Channel

__all__ = ["ADDRESSES", "Settings", "channels_of", "services_of"]


def _listed_service(name: str) -> str:
    service = known_service(name)
    if service is CONFIDENTIAL_POST:
        raise ValueError(
            f"{name!r} does not belong here; confidential post has a key of its own, `confidential`"
        )
    return service.code


def _resource(text: str) -> str:
    if not text or text != text.strip() or ":" in text or "/" in text:
        raise ValueError(
            f"{text!r} is not a valid resource id; write the plain id, without "
            "urn:altinn:resource: before it"
        )
    return text


def _none_if_auto(value: object) -> object:
    """Return None for `auto`, and for an empty table, which never named a resource."""
    if isinstance(value, str) and value != "auto":
        raise ValueError(
            f'{value!r} is not valid; write "auto", or a table of services and their resources'
        )
    return None if value in ("auto", {}) else value


class Settings(SystemUserSettings):
    """`[mailbox.NAME]` with `type = "altinn3"`."""

    services: Annotated[
        tuple[Annotated[str, AfterValidator(_listed_service)], ...], AfterValidator(without_repeats)
    ] = tuple(each.code for each in DPV_SERVICES)
    resources: Annotated[
        dict[str, tuple[Annotated[str, AfterValidator(_resource)], ...]] | None,
        BeforeValidator(_none_if_auto),
    ] = None
    """By service code; None (auto) for those that Altinn's resource registry names."""
    confidential: Literal["list", "fetch", "off"] = "list"
    mark_read: Policy = Policy.NEVER
    company_register: Annotated[str, AfterValidator(register_address)] = ""

    @field_validator("resources")
    @classmethod
    def _one_service_each(
        cls, resources: Mapping[str, tuple[str, ...]] | None
    ) -> dict[str, tuple[str, ...]] | None:
        """Return the resources by service code; a resource belongs to one service only."""
        if resources is None:
            return None
        by_code: dict[str, tuple[str, ...]] = {}
        owners: dict[str, str] = {}
        for name, ids in resources.items():
            code = known_service(name).code
            if code in by_code:
                raise ValueError(f"names {code} twice, by code and by name; remove one of them")
            by_code[code] = without_repeats(ids)
            for each in ids:
                if owners.setdefault(each, code) != code:
                    raise ValueError(
                        f"names {each!r} for both {owners[each]} and {code}; a resource "
                        "belongs to one service"
                    )
        return by_code


def channels_of(
    settings: Settings,
    found: Mapping[str, Sequence[str]] | None = None,
    parties: Sequence[str] | None = None,
) -> tuple[Channel, ...]:
    """Return every channel that the settings ask for, by party, service and resource.

    `found` are the resources by service that were found for `resources = "auto"`, and `parties` the
    organisations for `parties = "all"`.
    """
    wanted = WantedChannels(
        parties=settings.listed_parties if parties is None else tuple(parties),
        services=services_of(settings),
        list_confidential=settings.confidential == "list",
        fetch_confidential=settings.confidential == "fetch",
    )
    if settings.resources is None:
        return channels_through(wanted, found or {}, found=True)
    return channels_through(wanted, settings.resources, found=False)


def services_of(settings: Settings) -> tuple[Service, ...]:
    """Return the services that the settings ask for, confidential post last."""
    confidential = () if settings.confidential == "off" else (CONFIDENTIAL_POST,)
    return (*(known_service(code) for code in settings.services), *confidential)
