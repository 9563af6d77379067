"""The mailbox of Altinn 3: Digital post til virksomheter, read as each party's system user.

Here are its settings and the wiring of connectors/altinn3. The contract with Altinn is taken from
its public source, Altinn/altinn-correspondence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from connectors.altinn3 import access
from connectors.altinn3.company_register import CompanyRegister
from connectors.altinn3.connection import http_client_of, pacer_of, tokens_of
from connectors.altinn3.correspondence import Correspondence
from connectors.altinn3.discovery import Discovery
from connectors.altinn3.envelope import letter_from, odd_flags
from connectors.altinn3.events import Subscriptions
from connectors.altinn3.letter_batch import AltinnBatch
from connectors.altinn3.listing import Window, find_all
from connectors.altinn3.maskinporten import LentToken
from connectors.altinn3.platform import Platform
from connectors.altinn3.registry import carriers, confidential_apart
from connectors.altinn3.settings import Settings, channels_of, services_of
from connectors.altinn3.system_user_settings import identity_of
from connectors.altinn3.token_life import READ
from connectors.dialogporten.bell import DialogBell
from connectors.dialogporten.check import check_bell, check_found_parties, first_parties
from connectors.dialogporten.client import DialogClient
from connectors.dialogporten.wire import Dialog
from connectors.net.http_client import HttpClient
from daemon.core.bell import BellAnswer, Ring
from daemon.core.elapsed import SourceTime
from daemon.core.errors import MailboxUnavailable
from daemon.core.letter_batch import LetterBatch
from daemon.core.model import Letter, LetterRef, Part
from daemon.core.pacing import PaceNumbers
from daemon.core.parties import NamedParty
from daemon.core.ports import Channel, Discovered, Finding, Listing
from daemon.core.push import Door, Subscribed
from daemon.core.times import in_utc

__all__ = ["Altinn3", "Settings", "connect"]

_log = structlog.get_logger(__name__)


def connect(name: str, settings: Settings) -> Altinn3:
    """Make the mailbox; no connection is opened yet."""
    return Altinn3(name, settings, http_client_of(settings))


class Altinn3:
    """The mailbox, over `http`; `clock` gives the time of day."""

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
        self._codes = [each.code for each in services_of(settings)]
        self._identity = identity_of(settings)
        self._tokens = tokens_of(http, self._identity, settings)
        platform = Platform(http, self._tokens, settings.platform_url, self._identity.headers)
        # no letter may depend on whether these calls succeed
        apart = Platform(http.apart(), self._tokens, settings.platform_url, self._identity.headers)
        self._dialogs = DialogClient(apart, clock)
        self._subscriptions = Subscriptions(apart, self._holder_of)
        self._bell = DialogBell(self._dialogs, self._holder_of, self._rings, clock)
        self._correspondence = Correspondence(platform, on_behalf=settings.system_user is not None)
        self._discovery = Discovery(platform, self._correspondence, clock)
        self._register = CompanyRegister(
            settings.company_register, settings.ca_file, settings.proxies
        )
        self._parties: Sequence[str] | None = None
        self._resources: Mapping[str, Sequence[str]] | None = None
        self.finds_parties = settings.finds_parties
        """Whether Dialogporten decides which organisations are read."""
        self._places: Mapping[tuple[str, str], Channel] = {}
        self.finds_resources = settings.resources is None
        """Whether the registry decides which resources are listed."""

    def channels(self) -> Sequence[Channel]:
        """Return each party's services and their resources, in the configuration's order.

        Where the registry decides, those that are known so far.
        """
        return self._channels

    @property
    def resource_question(self) -> tuple[str, ...]:
        """The platform's address, and the codes of the services."""
        return (self._settings.platform_url, *self._codes)

    def find_resources(self) -> Mapping[str, Sequence[str]]:
        """Ask the registry which resources carry the services. Raises MailboxUnavailable.

        Confidential post is among them even if it is off, so that it is not read as another's.
        """
        read = {each.resource for each in self._channels}
        return carriers(self._discovery.registry.entries(), self._codes, read)

    def use_resources(self, resources: Mapping[str, Sequence[str]]) -> None:
        """List these resources from now on; `channels` returns them at once."""
        self._resources = confidential_apart(resources)
        self._channels = channels_of(self._settings, self._resources, self._parties)

    def find_parties(self) -> Sequence[NamedParty]:
        """Ask Dialogporten which organisations the system user may act for; leaves no trace.

        Raises MailboxUnavailable or AccessRefused.
        """
        return self._dialogs.wanted_parties(self._settings)

    def use_parties(self, numbers: Sequence[str]) -> None:
        """Read these organisations from now on; `channels` returns them at once."""
        self._parties = [each for each in numbers if each not in self._settings.exclude]
        self._channels = channels_of(self._settings, self._resources, self._parties)

    def earliest(
        self,
        channel: Channel,  # noqa: ARG002  # the port has it
        position: datetime | None,
        now: datetime,
    ) -> datetime | None:
        """Return the position less `look_back`.

        Without a position: now less `start_from`, or None, which means everything.
        """
        return self._settings.earliest(position, now)

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """List every letter later than `since`, even where Altinn's own list is cut.

        Purged ones are included.
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
        """Fetch the letter's overview, which Altinn marks as Fetched, not as Read."""
        return self._letter(ref, self._correspondence.overview(ref))

    @contextmanager
    def batch(self, at_once: int) -> Iterator[LetterBatch]:
        """Open a batch of calls for this thread."""
        with self._correspondence.batch(at_once) as calls:
            yield AltinnBatch(calls, self._correspondence, self._letter)

    @property
    def rings_every(self) -> timedelta | None:
        """How often Dialogporten is asked who has something new; None if it is not."""
        return self._settings.rings_every

    @property
    def needs_bell(self) -> bool:
        """Whether the bell is configured by name."""
        return self._settings.bell == "dialogporten"

    def ring(self, since: Mapping[str, datetime]) -> Iterator[BellAnswer]:
        """Ask Dialogporten which letters of the channels have changed; leaves no trace."""
        self._places = {(each.party, each.resource): each for each in self._channels}
        yield from self._bell.ring(since)

    def letter_of(self, ring: Ring) -> LetterRef | None:
        """Look up the letter behind a dialog; leaves no trace."""
        channel = self._places.get((ring.party, ring.resource))
        if channel is None:
            return None
        found = self._dialogs.letter_of(self._holder_of(ring.party), ring.source_id)
        return (
            LetterRef(
                mailbox=self.name,
                party=ring.party,
                service=channel.service,
                resource=ring.resource,
                external_id=found,
            )
            if found
            else None
        )

    def subscribe(self, door: Door, again: Collection[int] = ()) -> Subscribed:
        """Order events of published letters, for each organisation and resource."""
        return self._subscriptions.renew(self._channels, door, again)

    def subscribed(self, door: Door) -> Subscribed:
        """Return how the subscriptions stand; changes nothing."""
        return self._subscriptions.look(self._channels, door)

    def unvalidated(self) -> Collection[int]:
        """Return the subscriptions that were not validated when they were last looked at."""
        return self._subscriptions.unvalidated

    def _holder_of(self, party: str) -> str:
        """Return the organisation whose system user acts for the party."""
        return self._tokens.holder_of(party)

    def _rings(self, dialog: Dialog) -> bool:
        return dialog.is_mirror and (dialog.party, dialog.resource) in self._places

    def _letter(self, ref: LetterRef, overview: dict[str, Any]) -> Letter:
        if odd := odd_flags(overview):
            _log.warning(
                "flags are neither true nor false; isConfidential is taken for true",
                external_id=ref.external_id,
                flags=odd,
            )
        try:
            letter = letter_from(overview, ref, self._clock())
            return self._register.with_sender_name(letter)
        except ValidationError:
            reason = "a field has an unexpected type"
        except ValueError as error:
            reason = str(error)
        raise MailboxUnavailable(
            f"Altinn's overview of letter {ref.external_id} is not valid: {reason}; it is tried "
            "again at the next poll"
        )

    def published(self, ref: LetterRef) -> datetime:
        """Return when Altinn created or published it, whichever is later.

        A sender may choose any `requestedPublishTime`, but neither of these.
        """
        sent = self.fetch(ref).envelope
        return max(sent.published_at, sent.created_at or sent.published_at)

    def open_part(self, ref: LetterRef, part: Part) -> AbstractContextManager[Iterator[bytes]]:
        """Open the attachment's bytes.

        They are known to be complete if the sender gave a checksum or Altinn a length.
        """
        return self._correspondence.stream(ref, part)

    def mark_read(self, ref: LetterRef) -> None:
        """Set Read. Raises LetterGone, AccessRefused or MailboxUnavailable."""
        self._correspondence.tell(ref, "markasread")

    def confirm(self, ref: LetterRef) -> None:
        """Ask Altinn to set Confirmed, which takes some seconds; see `confirmed`.

        Raises as `mark_read` does.
        """
        self._correspondence.tell(ref, "confirm")

    def confirmed(self, ref: LetterRef) -> bool:
        """Return whether Altinn has set Confirmed. Raises as `mark_read` does."""
        return self._correspondence.has_been(ref, "Confirmed")

    def check(self) -> Iterator[Finding]:
        """Check the key, then each party.

        That is its token, the exchange, access to each service, and resources in use that are not
        configured. Where the registry decides which resources there are, it is asked first.
        """
        settings = self._settings
        yield from access.check_proxies(
            settings.proxies, settings.maskinporten_url, settings.platform_url
        )
        yield access.check_key(
            self._identity.key,
            self._identity.key_id,
            self._settings.key_expires,
            self._clock().date(),
        )
        if self.finds_resources:
            yield access.check_registry(self.find_resources, self.use_resources, self._codes)
        if self.finds_parties:
            yield check_found_parties(self.find_parties, self.use_parties)
        is_read, channels = True, first_parties(self._channels, settings.system_user)
        for each in access.check_parties(channels, self._tokens, self._discovery):
            is_read = is_read and each.ok
            yield each
        if self.rings_every and is_read:
            parties = tuple(dict.fromkeys(each.party for each in self._channels))
            yield check_bell(self._dialogs, self._holder_of, parties, needed=self.needs_bell)

    def discover(self) -> Iterator[Discovered]:
        """Find each party's resources.

        These are what the registry has for the services, those in use, and configured or presumed
        ones. Where one system user acts for all, only the first few organisations are looked at.
        """
        if self.finds_parties:
            check_found_parties(self.find_parties, self.use_parties)
        channels = first_parties(self._channels, self._settings.system_user)
        for each in self._discovery.discover(channels, self._codes):
            by_hand = each.matched == "configuration"
            yield replace(each, matched="read before") if by_hand and self.finds_resources else each

    def pace_numbers(self) -> PaceNumbers:
        """Return how many calls the client has made, over all its mailboxes."""
        return pacer_of(self._settings).numbers()

    def source_time(self) -> SourceTime | None:
        """Return the time that Maskinporten or Altinn last sent."""
        return self._http.heard

    def token_ends(self) -> datetime | None:
        """Return when the first of the tokens for reading letters expires."""
        return self._tokens.first_end(READ)

    def lend_tokens(self, parties: Collection[str]) -> Sequence[LentToken]:
        """Return the parties' tokens for reading letters that are valid now."""
        return self._tokens.lend(parties, READ)

    def borrow_tokens(self, tokens: Sequence[object]) -> None:
        """Use tokens of another process for reading letters."""
        self._tokens.borrow([each for each in tokens if isinstance(each, LentToken)], READ)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._register.close()
