"""The settings of an Altinn 3 mailbox, `[mailbox.NAME]`, and the channels that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from connectors.altinn3.channels import WantedChannels, channels_through
from connectors.altinn3.company_register import register_address
from connectors.altinn3.maskinporten import KeyFile
from connectors.net.settings import HttpMailboxSettings, all_or_duration, is_safe, without_repeats
from connectors.net.tls import CaFile, none_if_empty
from daemon.core.dpv import CONFIDENTIAL_POST, DPV_SERVICES, Service, known_service
from daemon.core.model import Policy
from daemon.core.ports import Channel
from daemon.core.settings import (
    Day,
    Duration,
    OrganisationNumber,
    PositiveDuration,
)

ADDRESSES = MappingProxyType(
    {
        "prod": {
            "maskinporten_url": "https://maskinporten.no/",
            "platform_url": "https://platform.altinn.no",
        },
        "tt02": {
            "maskinporten_url": "https://test.maskinporten.no/",
            "platform_url": "https://platform.tt02.altinn.no",
        },
    }
)
"""The addresses of Maskinporten and of Altinn's platform, by environment."""


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; copy it from the client in Samarbeidsportalen")
    return text


def _none_if_all(value: object) -> object:
    if isinstance(value, str) and value != "all":
        raise ValueError(f'{value!r} is not valid; write a list of organisation numbers, or "all"')
    return None if value == "all" else value


def _some_parties(parties: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if parties is None else without_repeats(parties)


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


class Settings(HttpMailboxSettings):
    """`[mailbox.NAME]` with `type = "altinn3"`."""

    environment: Literal["prod", "tt02"] | None = None
    maskinporten_url: str = Field(default="", validate_default=True)
    platform_url: str = Field(default="", validate_default=True)
    client_id: Annotated[str, AfterValidator(_some_text)]
    key_file: KeyFile
    key_id: Annotated[str, AfterValidator(_some_text)]
    key_expires: Annotated[Day | None, BeforeValidator(none_if_empty)] = None
    """The key's last day at Maskinporten, where it lasts a year; the key itself does not say."""
    parties: Annotated[
        tuple[OrganisationNumber, ...] | None,
        BeforeValidator(_none_if_all),
        AfterValidator(_some_parties),
    ]
    """None (all) for those that the system user may act for."""
    system_user: Annotated[OrganisationNumber | None, BeforeValidator(none_if_empty)] = None
    """Whose system user acts for all parties; None where each has its own."""
    include: tuple[OrganisationNumber, ...] = ()
    exclude: tuple[OrganisationNumber, ...] = ()
    services: Annotated[
        tuple[Annotated[str, AfterValidator(_listed_service)], ...], AfterValidator(without_repeats)
    ] = tuple(each.code for each in DPV_SERVICES)
    resources: Annotated[
        dict[str, tuple[Annotated[str, AfterValidator(_resource)], ...]] | None,
        BeforeValidator(_none_if_auto),
    ] = None
    """By service code; None (auto) for those that Altinn's resource registry names."""
    confidential: Literal["list", "fetch", "off"] = "list"
    poll_every: PositiveDuration = timedelta(minutes=5)
    bell: Literal["auto", "dialogporten", "off"] = "auto"
    bell_every: PositiveDuration = timedelta(seconds=75)
    look_back: Duration = timedelta(days=7)
    start_from: Annotated[timedelta | None, BeforeValidator(all_or_duration)] = timedelta(days=30)
    mark_read: Policy = Policy.NEVER
    subscription_key: SecretStr = SecretStr("")
    external_ref: str = ""
    company_register: Annotated[str, AfterValidator(register_address)] = ""
    ca_file: CaFile = None

    @model_validator(mode="after")
    def _all_can_be_found(self) -> Self:
        """Require what `parties = "all"` needs, and nothing that only it uses without it."""
        if self.finds_parties and self.system_user is None:
            raise ValueError(
                'has parties = "all" without system_user; write the number of the organisation '
                "whose system user acts for all of them"
            )
        if self.finds_parties and self.bell == "off":
            raise ValueError(
                'has parties = "all" with bell = "off"; Dialogporten says which organisations '
                'there are, so write bell = "auto", or list the parties'
            )
        if not self.finds_parties and (self.include or self.exclude):
            raise ValueError('has include or exclude without parties = "all"; change `parties`')
        return self

    @property
    def finds_parties(self) -> bool:
        """Whether the organisations are found, and not listed."""
        return self.parties is None

    @property
    def listed_parties(self) -> tuple[str, ...]:
        """The organisations that the configuration names."""
        return self.include if self.parties is None else self.parties

    @property
    def rings_every(self) -> timedelta | None:
        """How often the bell is asked; None without one, or where lists are as quick."""
        is_wanted = (
            self.bell == "dialogporten"
            or self.finds_parties
            or (self.bell == "auto" and self.bell_every < self.poll_every)
        )
        return self.bell_every if is_wanted else None

    @property
    def key_ends(self) -> date | None:
        """The last day of the key."""
        return self.key_expires

    @field_validator("maskinporten_url", "platform_url")
    @classmethod
    def _address(cls, url: str, info: ValidationInfo) -> str:
        """Return the configured address, or the environment's.

        Maskinporten's has a trailing slash, the platform's has none.
        """
        if "environment" not in info.data:
            return url  # the environment is not valid, which is reported already
        usual = ADDRESSES.get(info.data["environment"], {})
        url = url or usual.get(str(info.field_name), "")
        if not url:
            raise ValueError('is required; set environment = "prod" or "tt02", or both addresses')
        if not is_safe(url):
            raise ValueError(
                "is not an https address; tokens would be sent unencrypted, so write one that "
                "begins with https:// and the host"
            )
        return url.rstrip("/") + ("/" if info.field_name == "maskinporten_url" else "")

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
