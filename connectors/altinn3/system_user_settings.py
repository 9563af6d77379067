"""The settings shared by mailboxes that are read as a system user: who, where and for whom."""

from __future__ import annotations

from datetime import date, datetime, timedelta
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

from connectors.altinn3.maskinporten import Identity, KeyFile, load_key
from connectors.net.settings import (
    HttpMailboxSettings,
    all_or_duration,
    is_safe,
    without_repeats,
)
from daemon.core.settings import Day, Duration, OrganisationNumber, PositiveDuration
from daemon.core.times import shifted
from daemon.core.tls import CaFile, none_if_empty

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


class SystemUserSettings(HttpMailboxSettings):
    """The options shared by mailboxes that are read as a system user."""

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
    poll_every: PositiveDuration = timedelta(minutes=5)
    bell: Literal["auto", "dialogporten", "off"] = "auto"
    bell_every: PositiveDuration = timedelta(seconds=75)
    look_back: Duration = timedelta(days=7)
    start_from: Annotated[timedelta | None, BeforeValidator(all_or_duration)] = timedelta(days=30)
    calls_per_second: Annotated[float, Field(ge=0, le=1000)] = 0
    """At most, over all mailboxes of the client. 0: unlimited until Altinn refuses calls."""
    subscription_key: SecretStr = SecretStr("")
    external_ref: str = ""
    ca_file: CaFile = None

    @property
    def key_ends(self) -> date | None:
        """The last day of the key."""
        return self.key_expires

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

    def earliest(self, position: datetime | None, now: datetime) -> datetime | None:
        """Return since when a channel is listed: its position less `look_back`.

        Without a position: now less `start_from`, or None, which means everything.
        """
        if position is not None:
            return shifted(position, -self.look_back)
        return None if self.start_from is None else shifted(now, -self.start_from)

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

    @model_validator(mode="after")
    def _all_can_be_found(self) -> Self:
        """Require what `parties = "all"` needs, and refuse what only makes sense with it."""
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


def identity_of(settings: SystemUserSettings) -> Identity:
    """Return who requests tokens, and where."""
    key = settings.subscription_key.get_secret_value()
    return Identity(
        issuer=settings.maskinporten_url,
        exchange_url=f"{settings.platform_url}/authentication/api/v1/exchange/maskinporten",
        client_id=settings.client_id,
        key_id=settings.key_id,
        key=load_key(settings.key_file.value),
        external_ref=settings.external_ref or None,
        system_user=settings.system_user,
        headers={"Ocp-Apim-Subscription-Key": key} if key else {},
    )
