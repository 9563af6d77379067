"""The mailbox of Dialogporten: letters that agencies keep themselves, read as a system user.

Here are its settings and the wiring of connectors/dialogporten. Dialogs that mirror letters of
Correspondence are left to the mailbox `altinn3`. No dialog is opened, which would mark it as seen,
unless the rule of its owner allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from connectors.altinn3 import access
from connectors.altinn3.connection import http_client_of, pacer_of, tokens_of
from connectors.altinn3.platform import DIALOGPORTEN, Platform
from connectors.altinn3.system_user_settings import SystemUserSettings, identity_of
from connectors.dialogporten.addresses import addresses_of
from connectors.dialogporten.bell import DialogBell
from connectors.dialogporten.check import check_found_parties, check_owners, check_searches
from connectors.dialogporten.client import DialogClient
from connectors.dialogporten.dialogs import Dialogs
from connectors.dialogporten.downloads import Downloads
from connectors.dialogporten.files import DialogFile
from connectors.dialogporten.letters import (
    CHANNEL,
    NOT_OPENED,
    SERVICE,
    DialogLetter,
    letter_from,
    split_id,
)
from connectors.dialogporten.owners import OwnerRule, rule_of
from connectors.dialogporten.wire import OWN_FORM, Dialog
from connectors.net.http_client import HttpClient
from daemon.core.bell import BellAnswer, Ring
from daemon.core.elapsed import SourceTime
from daemon.core.errors import AccessRefused, PartUnavailable
from daemon.core.missing_files import Opening
from daemon.core.model import Letter, LetterRef, Part, PartState, Policy
from daemon.core.pacing import PaceNumbers
from daemon.core.parties import NamedParty
from daemon.core.ports import Channel, Finding, Listing

__all__ = ["DialogMailbox", "Settings", "connect"]

_log = structlog.get_logger(__name__)


class Settings(SystemUserSettings):
    """`[mailbox.NAME]` with `type = "dialogporten"`."""

    owners: dict[str, OwnerRule] = {}  # noqa: RUF012  # pydantic copies it
    """What may be done with the dialogs of an owner, by its code; see `owners.KNOWN_OWNERS`."""
    own_forms: bool = False
    """Whether the party's own forms count as letters."""
    bell: Literal["auto", "off"] = "auto"
    mark_read: Literal[Policy.NEVER] = Policy.NEVER
    confirm: Literal[Policy.NEVER] = Policy.NEVER


def connect(name: str, settings: Settings) -> DialogMailbox:
    """Make the mailbox; no connection is opened yet."""
    return DialogMailbox(name, settings, http_client_of(settings))


class DialogMailbox:
    """The mailbox, over `http`; `clock` gives the time of day."""

    needs_bell = False
    """It has no other way to find letters, so that its polls say what is wrong."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        http: HttpClient,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name, self._settings, self._http, self._clock = name, settings, http, clock
        self._identity = identity_of(settings)
        self._tokens = tokens_of(http, self._identity, settings)
        headers = self._identity.headers
        self._client = DialogClient(
            Platform(http, self._tokens, settings.platform_url, headers), clock
        )
        self._dialogs = Dialogs(self._client, self._tokens.holder_of, self._is_wanted)
        is_direct = not settings.proxies.through(settings.platform_url)
        self._downloads = Downloads(http.apart(), self._tokens, addresses_of if is_direct else None)
        self._bell = DialogBell(self._client, self._tokens.holder_of, self._is_wanted, clock)
        self._channels = _channels(settings.listed_parties)
        self.finds_parties = settings.finds_parties

    def channels(self) -> Sequence[Channel]:
        """Return one channel for each party."""
        return self._channels

    def find_parties(self) -> Sequence[NamedParty]:
        """Ask which organisations the system user may act for; leaves no trace.

        Raises MailboxUnavailable or AccessRefused.
        """
        return self._client.wanted_parties(self._settings)

    def use_parties(self, numbers: Sequence[str]) -> None:
        """Read these organisations from now on; `channels` returns them at once."""
        self._channels = _channels([each for each in numbers if each not in self._settings.exclude])

    @property
    def rings_every(self) -> timedelta | None:
        """How often Dialogporten is asked who has something new; None if it is not."""
        return self._settings.rings_every

    def ring(self, since: Mapping[str, datetime]) -> Iterator[BellAnswer]:
        """Ask which dialogs have changed; leaves no trace."""
        for answer in self._bell.ring(since):
            yield in_channel(answer)

    def letter_of(self, ring: Ring) -> LetterRef | None:  # noqa: ARG002  # the port has it
        """Return None: a dialog can be many letters, so that its channel is listed."""
        return None

    def earliest(
        self,
        channel: Channel,  # noqa: ARG002  # the port has it
        position: datetime | None,
        now: datetime,
    ) -> datetime | None:
        """Return the position less `look_back`; without one, now less `start_from`, or None."""
        return self._settings.earliest(position, now)

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """List the letters of dialogs whose content has changed after `since`; leaves no trace."""
        letters, shortfall = self._dialogs.letters(channel.party, since)
        refs = tuple(self._ref(channel.party, each.id) for each in letters)
        return Listing(refs=refs, shortfall=shortfall)

    def fetch(self, ref: LetterRef) -> Letter:
        """Return the letter with what is known of its files.

        Leaves no trace, unless its owner's rule allows its dialogs to be opened before their
        letters are stored.
        """
        letter = self._dialogs.letter(ref)
        opening = self._opening(ref, letter)
        return self._whole(ref, letter, opening, opened=bool(opening and opening.done))

    def open_stored(self, ref: LetterRef) -> Letter:
        """Open the dialog of a stored letter, which leaves a mark; return it with its files.

        Raises AccessRefused where its owner's rule forbids it, and as `fetch` does.
        """
        letter = self._dialogs.letter(ref)
        opening = self._opening(ref, letter)
        if opening is None and self._rule(letter.dialog).seen == "never":
            raise AccessRefused(NOT_OPENED)
        return self._whole(ref, letter, opening, opened=True)

    def open_part(self, ref: LetterRef, part: Part) -> AbstractContextManager[Iterator[bytes]]:
        """Open the file's bytes at its owner, by an address that is asked for again.

        An address may be signed and run out.
        """
        letter = self._dialogs.letter(ref, again=True)
        rule = self._rule(letter.dialog)
        if letter.transmission is None and rule.seen == "never":
            raise PartUnavailable(NOT_OPENED, state=PartState.UNAVAILABLE)
        files = self._files(ref, letter, opened=True)
        found = next((each for each in files if each.id == part.external_id), None)
        if found is None:
            raise PartUnavailable("it is not in its dialog any more", state=PartState.PURGED)
        return self._downloads.stream(ref.party, found, rule)

    def mark_read(self, ref: LetterRef) -> None:
        """Do nothing: no dialog is marked."""

    def confirm(self, ref: LetterRef) -> None:
        """Do nothing: no dialog is confirmed."""

    def confirmed(self, ref: LetterRef) -> bool:  # noqa: ARG002  # the port has it
        """Return True: there is nothing to confirm."""
        return True

    def check(self) -> Iterator[Finding]:
        """Check the key, whom it may be read for, the searches, and what the owner table allows."""
        settings = self._settings
        urls = settings.maskinporten_url, settings.platform_url
        yield from access.check_proxies(settings.proxies, *urls)
        today = self._clock().date()
        yield access.check_key(
            self._identity.key, self._identity.key_id, settings.key_expires, today
        )
        if self.finds_parties:
            yield check_found_parties(self.find_parties, self.use_parties)
        parties = tuple(each.party for each in self._channels)
        yield from check_searches(self._client, self._tokens.holder_of, parties)
        yield from check_owners(settings.owners)

    def pace_numbers(self) -> PaceNumbers:
        """Return how many calls the client has made, over all its mailboxes."""
        return pacer_of(self._settings).numbers()

    def source_time(self) -> SourceTime | None:
        """Return the time that Maskinporten or Altinn last sent."""
        return self._http.heard

    def token_ends(self) -> datetime | None:
        """Return when the first of the tokens for reading dialogs expires."""
        return self._tokens.first_end(DIALOGPORTEN)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ref(self, party: str, external_id: str) -> LetterRef:
        return LetterRef(
            mailbox=self.name,
            party=party,
            service=SERVICE,
            resource=CHANNEL,
            external_id=external_id,
        )

    def _rule(self, dialog: Dialog) -> OwnerRule:
        return rule_of(self._settings.owners, dialog.org)

    def _is_wanted(self, dialog: Dialog) -> bool:
        is_form = dialog.resource_type == OWN_FORM and not self._settings.own_forms
        return not (dialog.is_mirror or is_form) and self._rule(dialog).take

    def _whole(
        self, ref: LetterRef, letter: DialogLetter, opening: Opening | None, *, opened: bool
    ) -> Letter:
        files, rule = self._files(ref, letter, opened=opened), self._rule(letter.dialog)
        lacks = {each.id: lack for each in files if (lack := self._downloads.refusal(each, rule))}
        withheld = self._dialogs.withheld(letter.dialog)
        return letter_from(letter, ref, rule, files, lacks, withheld, opening)

    def _opening(self, ref: LetterRef, letter: DialogLetter) -> Opening | None:
        """Return how the letter's dialog is opened for its own files; None if it is not."""
        dialog, rule = letter.dialog, self._rule(letter.dialog)
        if letter.transmission or not dialog.gui_attachments or rule.seen == "never":
            return None
        return Opening(
            by=f"the system user of {self._tokens.holder_of(ref.party)}",
            why=f"seen = {rule.seen} for the owner {dialog.org} of the mailbox {self.name}",
            done=rule.seen == "allowed",
        )

    def _files(self, ref: LetterRef, letter: DialogLetter, *, opened: bool) -> Sequence[DialogFile]:
        """Return the letter's files; a dialog's own ones only if it is to be `opened`."""
        if letter.transmission:
            return letter.transmission.files
        opening = self._opening(ref, letter) if opened else None
        if opening is None:
            return ()
        dialog = split_id(ref.external_id)[0]
        about = {"dialog": dialog, "by": opening.by, "why": opening.why}
        _log.warning("a dialog is opened, which its owner and colleagues see", **about)
        return self._client.open_dialog(self._tokens.holder_of(ref.party), letter.dialog.id)


def in_channel(answer: BellAnswer) -> BellAnswer:
    """Return the answer with its rings in the parties' only channels."""
    rings = tuple(replace(each, resource=CHANNEL, alone=False) for each in answer.rings)
    return replace(answer, rings=rings)


def _channels(parties: Sequence[str]) -> tuple[Channel, ...]:
    return tuple(Channel(party=each, service=SERVICE, resource=CHANNEL) for each in parties)
