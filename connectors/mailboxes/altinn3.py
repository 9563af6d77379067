"""The mailbox of Altinn 3: Digital post til virksomheter, read as a system user on behalf of each party.

What is here is settings and the wiring of connectors/altinn. The contract with Altinn is read from
its public source, Altinn/altinn-correspondence.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Literal

import structlog
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from connectors.altinn3 import access
from connectors.altinn3.correspondence import Correspondence
from connectors.altinn3.discovery import Discovery
from connectors.altinn3.envelope import letter_from, odd_flags
from connectors.altinn3.listing import Window, find_all
from connectors.altinn3.maskinporten import Identity, KeyFile, Tokens, load_key
from connectors.altinn3.platform import READ, Platform
from connectors.net.http_client import HttpClient, Timeouts
from connectors.net.settings import all_or_duration, is_safe, some_time, without_repeats
from connectors.net.tls import CaFile, none_if_empty
from daemon.core.dpv import (
    ALL_SERVICES,
    CONFIDENTIAL_POST,
    DPV_SERVICES,
    Service,
    find_service,
    service_names,
)
from daemon.core.elapsed import SourceTime
from daemon.core.errors import MailboxUnavailable
from daemon.core.model import Letter, LetterRef, Part, Policy
from daemon.core.ports import Channel, Discovered, Finding, Listing
from daemon.core.settings import Day, Duration, MailboxSettings, OrganisationNumber
from daemon.core.times import in_utc, shifted

_log = structlog.get_logger(__name__)
_URLS = MappingProxyType({
    "prod": {"maskinporten_url": "https://maskinporten.no/", "platform_url": "https://platform.altinn.no"},
    "tt02": {"maskinporten_url": "https://test.maskinporten.no/", "platform_url": "https://platform.tt02.altinn.no"},
})  # fmt: skip  # one line for each environment
_LONGEST_PAUSE = timedelta(minutes=10)
_A_CALL = timedelta(seconds=Timeouts().whole)
_REFUSAL_LASTS = timedelta(seconds=30)


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; copy it from the client in Samarbeidsportalen")
    return text


def _service(name: str) -> Service:
    """The service that an operator means. Raises ValueError."""
    found = find_service(name)
    if found is None:
        close = difflib.get_close_matches(name, service_names(), n=1)
        remedy = (
            f"did you mean {close[0]!r}?"
            if close
            else f"known are: {', '.join(each.code for each in ALL_SERVICES)}"
        )
        raise ValueError(f"{name!r} is no service; {remedy}")
    return found


def _service_code(name: str) -> str:
    service = _service(name)
    if service is CONFIDENTIAL_POST:
        raise ValueError(
            f"{name!r} is not to be listed here; confidential post is governed by the key "
            "`confidential`"
        )
    return service.code


def _resource(text: str) -> str:
    if not text or text != text.strip() or ":" in text or "/" in text:
        raise ValueError(
            f"{text!r} is no resource id; write the plain id, without urn:altinn:resource: "
            "before it"
        )
    return text


class Settings(MailboxSettings):
    """`[mailbox.NAME]` with `type = "altinn3"`."""

    environment: Literal["prod", "tt02"] | None = None
    maskinporten_url: str = Field(default="", validate_default=True)
    platform_url: str = Field(default="", validate_default=True)
    client_id: Annotated[str, AfterValidator(_some_text)]
    key_file: KeyFile
    key_id: Annotated[str, AfterValidator(_some_text)]
    key_expires: Annotated[Day | None, BeforeValidator(none_if_empty)] = None
    """The last day of the key at Maskinporten, where it lasts a year; the key itself does not say."""
    parties: Annotated[tuple[OrganisationNumber, ...], AfterValidator(without_repeats)]
    services: Annotated[
        tuple[Annotated[str, AfterValidator(_service_code)], ...], AfterValidator(without_repeats)
    ] = tuple(each.code for each in DPV_SERVICES)
    resources: dict[str, tuple[Annotated[str, AfterValidator(_resource)], ...]] = Field(
        default_factory=dict
    )
    confidential: Literal["list", "fetch", "off"] = "list"
    poll_every: Annotated[Duration, AfterValidator(some_time)] = timedelta(minutes=5)
    look_back: Duration = timedelta(days=7)
    start_from: Annotated[timedelta | None, BeforeValidator(all_or_duration)] = timedelta(days=30)
    mark_read: Policy = Policy.NEVER
    subscription_key: SecretStr = SecretStr("")
    external_ref: str = ""
    ca_file: CaFile = None

    @property
    def key_ends(self) -> date | None:
        """The last day of the key."""
        return self.key_expires

    @field_validator("maskinporten_url", "platform_url")
    @classmethod
    def _address(cls, url: str, info: ValidationInfo) -> str:
        """The address that was written, or the environment's.

        Maskinporten's ends with a slash, the platform's does not.
        """
        if "environment" not in info.data:
            return url  # the environment is at fault, and that is told already
        usual = _URLS.get(info.data["environment"], {})
        url = url or usual.get(str(info.field_name), "")
        if not url:
            raise ValueError('is missing; write environment = "prod" or "tt02", or both addresses')
        if not is_safe(url):
            raise ValueError(
                "is no plain https address; tokens would travel in the clear, so write one "
                "that begins with https:// and the host"
            )
        return url.rstrip("/") + ("/" if info.field_name == "maskinporten_url" else "")

    @field_validator("resources")
    @classmethod
    def _one_service_each(
        cls, resources: Mapping[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        """The resources by service code; a resource serves one service only."""
        by_code: dict[str, tuple[str, ...]] = {}
        owners: dict[str, str] = {}
        for name, ids in resources.items():
            code = _service(name).code
            if code in by_code:
                raise ValueError(f"names {code} twice, by code and by name; strike one of them out")
            by_code[code] = without_repeats(ids)
            for each in ids:
                if owners.setdefault(each, code) != code:
                    raise ValueError(
                        f"names {each!r} for both {owners[each]} and {code}; a resource "
                        "belongs to one service"
                    )
        return by_code


def connect(name: str, settings: Settings) -> Altinn3:
    """The mailbox, ready for use; no connection is opened yet."""
    return Altinn3(
        name,
        settings,
        HttpClient(
            longest_pause=longest_pause(settings.poll_every).total_seconds(),
            ca_file=settings.ca_file,
        ),
    )


def longest_pause(poll_every: timedelta) -> timedelta:
    """How long a host that is down is left alone: so that the next poll tries it, also if the try before took its time to fail."""
    pause = min(_LONGEST_PAUSE, poll_every)
    return max(pause / 2, pause - _A_CALL)


def channels_of(settings: Settings) -> tuple[Channel, ...]:
    """Every channel that the settings ask for: by party, then service, then resource."""
    services = [
        *(_service(code) for code in settings.services),
        *([CONFIDENTIAL_POST] if settings.confidential != "off" else []),
    ]
    return tuple(
        channel
        for party in settings.parties
        for service in services
        for channel in _channels(settings, party, service)
    )


def _channels(settings: Settings, party: str, service: Service) -> Iterator[Channel]:
    list_only = service is CONFIDENTIAL_POST and settings.confidential == "list"
    configured = settings.resources.get(service.code)
    claimed = {each for ids in settings.resources.values() for each in ids}
    # Nobody has the right to confidential post by itself, so where it was not asked for, that it
    # cannot be listed is no error.
    presumed = (
        {}
        if configured
        else {
            each.id: list_only or not each.known
            for each in service.resources
            if each.id not in claimed
        }
    )
    for resource in configured or presumed:
        yield Channel(
            party=party,
            service=service.code,
            resource=resource,
            presumed=presumed.get(resource, False),
            list_only=list_only,
            fetch_confidential=settings.confidential == "fetch",
        )


class Altinn3:
    """The mailbox, over `http`; `clock` tells the time of day."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        http: HttpClient,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._settings = settings
        self._http = http
        self._clock = clock
        self._channels = channels_of(settings)
        self._identity = _identity(settings)
        refusal_lasts = min(_REFUSAL_LASTS, settings.poll_every / 2)
        self._tokens = Tokens(http, self._identity, refusal_lasts=refusal_lasts.total_seconds())
        platform = Platform(http, self._tokens, settings.platform_url, self._identity.headers)
        self._correspondence = Correspondence(platform)
        self._discovery = Discovery(platform, self._correspondence, clock)

    def channels(self) -> Sequence[Channel]:
        """Each party's services and their resources, in the configuration's order."""
        return self._channels

    def earliest(
        self,
        channel: Channel,  # noqa: ARG002  # a port\'s argument
        position: datetime | None,
        now: datetime,
    ) -> datetime | None:  # a port's method
        """`look_back` before the position.

        Where there is none, `start_from` before now, or everything.
        """
        if position is not None:
            return shifted(position, -self._settings.look_back)
        return (
            shifted(now, -self._settings.start_from)
            if self._settings.start_from is not None
            else None
        )

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """Every letter later than `since`, also where Altinn's own list is cut.

        Purged ones are among them.
        """

        def ask(window: Window, status: str | None) -> Sequence[str]:
            return self._correspondence.ids(channel.party, channel.resource, window, status)

        found = find_all(ask, in_utc(since) if since else None, self._clock())
        refs = (
            LetterRef(
                mailbox=self.name,
                party=channel.party,
                service=channel.service,
                resource=channel.resource,
                external_id=each,
            )
            for each in found.ids
        )
        return Listing(refs=tuple(refs), shortfall=found.shortfall)

    def fetch(self, ref: LetterRef) -> Letter:
        """The letter as Altinn's overview tells it, which Altinn notes as Fetched, and not as Read."""
        overview = self._correspondence.overview(ref)
        if odd := odd_flags(overview):
            _log.warning(
                "flags are neither true nor false; isConfidential is taken for true",
                external_id=ref.external_id,
                flags=odd,
            )
        try:
            return letter_from(overview, ref, self._clock())
        except ValidationError:
            reason = "a field is of an unexpected kind"
        except ValueError as error:
            reason = str(error)
        raise MailboxUnavailable(
            f"Altinn's overview of letter {ref.external_id} makes no sense: {reason}; it is "
            "tried again at the next poll"
        )

    def published(self, ref: LetterRef) -> datetime:
        """When Altinn made or published it, whichever is later: a sender dates `requestedPublishTime` as it likes, and neither of these."""
        sent = self.fetch(ref).envelope
        return max(sent.published_at, sent.created_at or sent.published_at)

    def open_part(self, ref: LetterRef, part: Part) -> AbstractContextManager[Iterator[bytes]]:
        """The attachment's bytes.

        That they are all there is certain where the sender gave a checksum or Altinn a length.
        """
        return self._correspondence.stream(ref, part)

    def mark_read(self, ref: LetterRef) -> None:
        """Set Read. Raises LetterGone, AccessRefused or MailboxUnavailable."""
        self._correspondence.tell(ref, "markasread")

    def confirm(self, ref: LetterRef) -> None:
        """Ask Altinn to set Confirmed, which it does some seconds later: `confirmed` tells.

        Raises as `mark_read` does.
        """
        self._correspondence.tell(ref, "confirm")

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether Altinn has set Confirmed. Raises as `mark_read` does."""
        return self._correspondence.has_been(ref, "Confirmed")

    def check(self) -> Iterator[Finding]:
        """Key.

        Then for each party token, exchange, the right to each service, and resources that nobody
        listed.
        """
        yield access.check_key(
            self._identity.key,
            self._identity.key_id,
            self._settings.key_expires,
            self._clock().date(),
        )
        yield from access.check_parties(self._channels, self._tokens, self._discovery)

    def discover(self) -> Iterator[Discovered]:
        """Each party's resources: those in use that it may read, and those that are configured or presumed."""
        return self._discovery.discover(self._channels)

    def source_time(self) -> SourceTime | None:
        """What the clock of Maskinporten or of Altinn said last."""
        return self._http.heard

    def token_ends(self) -> datetime | None:
        """When the first of the tokens with which letters are read ends."""
        return self._tokens.first_end(READ)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _identity(settings: Settings) -> Identity:
    key = settings.subscription_key.get_secret_value()
    return Identity(
        issuer=settings.maskinporten_url,
        exchange_url=f"{settings.platform_url}/authentication/api/v1/exchange/maskinporten",
        client_id=settings.client_id,
        key_id=settings.key_id,
        key=load_key(settings.key_file.value),
        external_ref=settings.external_ref or None,
        headers={"Ocp-Apim-Subscription-Key": key} if key else {},
    )
