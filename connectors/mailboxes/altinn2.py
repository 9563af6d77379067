"""A mailbox that speaks Altinn 2's SOAP interfaces, in the Basic flavour (docs/altinn2.md).

Altinn switched them off in June 2026; what is left to talk to are archives and test beds that speak
them still. Opening a letter of the inbox there is reading it, and nothing can be done about that:
so this mailbox marks as read by fetching, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors.altinn2.client import Altinn2Service, Credentials, Faulted, Result
from connectors.altinn2.letters import (
    CONFIDENTIAL_CODE,
    DPV_CODE,
    Element,
    archived_letter_from,
    elements_from,
    is_confirmed,
    is_gone,
    letter_from,
    part_id,
    rows_of,
)
from connectors.altinn2.listing import find_all
from connectors.altinn2.spool import Spool, Spooled
from connectors.net.diagnostics import Timeout
from connectors.net.settings import (
    all_or_duration,
    is_safe,
    need_library,
    some_time,
    without_repeats,
)
from connectors.net.tls import CaFile, tls_context
from connectors.soap.call import SoapCaller
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.elapsed import SourceTime
from daemon.core.errors import LetterGone, MailboxError, MailboxUnavailable, PartUnavailable
from daemon.core.model import Letter, LetterRef, Part, PartState
from daemon.core.ports import Channel, Finding, Listing
from daemon.core.settings import Duration, MailboxSettings, OrganisationNumber, SecretFile
from daemon.core.times import shifted

_SPOOLED_LETTERS = 16
_REFUSAL_LASTS = timedelta(minutes=10)
_CLOCKS_APART = timedelta(days=1)
_MIB = 1 << 20


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write what the system you log in to has given you")
    return text


def _not_never(policy: object) -> object:
    if policy == "never":
        raise ValueError(
            "cannot be had: Altinn 2 notes a letter as read when it is opened, and there is "
            "no other way to fetch it;"
            ' write "fetched", or leave the key out'
        )
    if policy != "fetched":
        raise ValueError(
            'can only be "fetched": Altinn 2 notes a letter as read when it is opened, '
            "neither earlier nor later"
        )
    return policy


def _not_fetch(confidential: object) -> object:
    if confidential == "fetch":
        raise ValueError(
            "cannot be had: Altinn 2 notes a letter as read when it is opened, and a "
            "confidential one may not be called read"
            ' before it is known that somebody is appointed for it; write "list" or "off"'
        )
    return confidential


class Settings(MailboxSettings):
    """`[mailbox.NAME]` with `type = "altinn2"`."""

    url: str
    system_name: Annotated[str, AfterValidator(_some_text)]
    system_password_file: SecretFile
    user_ssn_file: SecretFile
    user_password_file: SecretFile
    user_pin_file: SecretFile
    auth_method: Annotated[str, AfterValidator(_some_text)] = "AltinnPin"
    parties: Annotated[tuple[OrganisationNumber, ...], AfterValidator(without_repeats)]
    confidential: Annotated[Literal["list", "off"], BeforeValidator(_not_fetch)] = "list"
    poll_every: Annotated[Duration, AfterValidator(some_time)] = timedelta(hours=1)
    look_back: Duration = timedelta(days=7)
    start_from: Annotated[timedelta | None, BeforeValidator(all_or_duration)] = timedelta(days=30)
    mark_read: Annotated[Literal["fetched"], BeforeValidator(_not_never)] = "fetched"
    largest_letter: int = Field(default=64, ge=1, le=1024)
    """In MiB, as it travels: a third more than its attachments on disk."""
    timeout: Timeout = timedelta(minutes=5)
    """For the whole of a call."""
    ca_file: CaFile = None

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
        if host == "altinn.no" or host.endswith(".altinn.no"):
            raise ValueError(
                f"names Altinn's own host {host}, where Altinn 2 was switched off in June "
                "2026: nothing answers there any more;"
                ' for letters from Altinn use type = "altinn3"'
            )
        if not is_safe(url):
            raise ValueError(
                "is no plain https address; passwords would travel in the clear, so write one "
                "that begins with https://"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        need_library("zeep", "soap")
        return self


def connect(name: str, settings: Settings) -> Altinn2:
    """The mailbox, ready for use; no connection is opened yet."""
    tls = tls_context(settings.ca_file)

    def new_caller() -> SoapCaller:
        return SoapCaller(
            tls=tls,
            seconds=settings.timeout.total_seconds(),
            largest=settings.largest_letter * _MIB,
        )

    refusal_lasts = min(_REFUSAL_LASTS, settings.poll_every / 2).total_seconds()
    return Altinn2(
        name,
        settings,
        Altinn2Service(settings.url, _credentials(settings), new_caller, refusal_lasts),
    )


def _credentials(settings: Settings) -> Credentials:
    return Credentials(
        values={
            "systemUserName": settings.system_name,
            "systemPassword": settings.system_password_file.value,
            "userSSN": settings.user_ssn_file.value,
            "userPassword": settings.user_password_file.value,
            "userPinCode": settings.user_pin_file.value,
            "authMethod": settings.auth_method,
        }
    )


class Altinn2:
    """The mailbox, over `service`; `clock` tells the time of day."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        service: Altinn2Service,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self._settings = settings
        self._service = service
        self._clock = clock
        self._spool = Spool(_SPOOLED_LETTERS)
        self._archived: dict[str, int] = {}
        self._channels = tuple(
            channel for party in settings.parties for channel in self._of_party(party)
        )

    def channels(self) -> Sequence[Channel]:
        """For each party the ten services together, for a list tells a code and no edition.

        And confidential post, which is only listed.
        """
        return self._channels

    def _of_party(self, party: str) -> Iterator[Channel]:
        yield Channel(party=party, service=DPV_CODE, resource=f"altinn2-{DPV_CODE}")
        if self._settings.confidential == "list":
            resource = f"altinn2-{CONFIDENTIAL_CODE}"
            yield Channel(
                party=party,
                service=CONFIDENTIAL_POST.code,
                resource=resource,
                presumed=True,
                list_only=True,
            )

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
        """The letters of inbox and archive that have changed later than `since`.

        A change is never earlier than the sending.
        """
        code = channel.service.partition("/")[0]

        def ask(after: datetime | None, before: datetime) -> dict[str, Element]:
            rows = self._service.elements(channel.party, code, after, before)
            return {each.external_id: each for each in elements_from(rows, code)}

        # Whether the server counts in days, and which clock it has, is not known: so a day more at
        # both ends.
        found = find_all(
            ask, shifted(since, -_CLOCKS_APART) if since else None, self._clock() + _CLOCKS_APART
        )
        wanted = [
            each
            for each in found.elements.values()
            if since is None or each.changed_at is None or each.changed_at > since
        ]
        for each in wanted:
            self._remember(each)
        return Listing(
            refs=tuple(self._ref(channel, each) for each in wanted), shortfall=found.shortfall
        )

    def fetch(self, ref: LetterRef) -> Letter:
        """The letter, with its attachments put aside for `open_part`.

        Altinn notes a letter of the inbox as read.
        """
        about = f"letter {ref.external_id}"
        try:
            letter, parts = (
                self._archived_letter(ref, about)
                if ref.external_id in self._archived
                else self._letter(ref, about)
            )
        except (ValidationError, ValueError) as error:
            reason = (
                "a field is of an unexpected kind"
                if isinstance(error, ValidationError)
                else str(error)
            )
            words = (
                f"Altinn 2's answer for {about} makes no sense: {reason}; it is tried again at "
                "the next poll"
            )
            raise MailboxUnavailable(words) from None
        self._spool.put(ref.external_id, parts)
        return letter

    @contextmanager
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        """The attachment's bytes, which came with the letter.

        The letter is fetched once more if it was a while ago.
        """
        if not self._spool.has(ref.external_id):
            self.fetch(ref)
        with self._spool.read(ref.external_id, part.external_id) as chunks:
            if chunks is None:
                words = (
                    f"attachment {part.external_id} of letter {ref.external_id} does not come "
                    "with the letter any more"
                )
                raise PartUnavailable(words, state=PartState.UNAVAILABLE)
            yield chunks

    def mark_read(self, ref: LetterRef) -> None:
        """Open the letter, which is reading it.

        A letter of the archive was read before it came there.
        """
        self._look(ref)

    def confirm(self, ref: LetterRef) -> None:
        """Confirm the letter, if that is asked for and not done.

        Raises LetterGone, AccessRefused or MailboxUnavailable.
        """
        if is_confirmed(self._look(ref)):
            return
        try:
            self._service.confirm(_number(ref), f"the confirmation of letter {ref.external_id}")
        except Faulted as faulted:
            if not self.confirmed(ref):
                raise faulted.fault.error(f"to confirm letter {ref.external_id}") from None

    def confirmed(self, ref: LetterRef) -> bool:
        """Whether the letter is confirmed, or was never to be. Raises as `confirm` does."""
        return is_confirmed(self._look(ref))

    def check(self) -> Iterator[Finding]:
        """Whether each party's letters can be listed; and what this interface cannot do."""
        for channel in self.channels():
            yield self._check(channel)
        yield Finding(
            subject="limits",
            ok=True,
            text="every letter that is fetched counts as read at once; the ten services are told apart by the name that a letter bears, and"
            f" letters with another name keep the service {DPV_CODE}; senders have names and "
            "no numbers; larger letters than"
            f" {self._settings.largest_letter} MiB stay where they are, and status names them",
        )

    def source_time(self) -> SourceTime | None:
        """What the clock of Altinn 2 said last."""
        return self._service.heard

    def close(self) -> None:
        """Let go of attachments that were put aside; connections end with each call."""
        self._spool.clear()

    def _check(self, channel: Channel) -> Finding:
        subject = f"{channel.party} {channel.service}"
        now = self._clock()
        try:
            self._service.elements(channel.party, channel.service.partition("/")[0], now, now)
        except MailboxError as error:
            return Finding(subject=subject, ok=channel.presumed, text=str(error))
        return Finding(subject=subject, ok=True, text="can be listed")

    def _ref(self, channel: Channel, element: Element) -> LetterRef:
        place = {"party": channel.party, "service": channel.service, "resource": channel.resource}
        return LetterRef(mailbox=self.name, external_id=element.external_id, **place)

    def _remember(self, element: Element) -> None:
        """Where a letter is: with one that moved to the archive only the list tells both numbers."""
        if element.archive_id is None:
            self._archived.pop(element.external_id, None)
        else:
            self._archived[element.external_id] = element.archive_id

    def _letter(self, ref: LetterRef, about: str) -> tuple[Letter, dict[str, Spooled]]:
        result = self._service.letter(_number(ref), about)
        with _kept(result):
            if result.value is None or is_gone(result.value.Correspondence):
                raise self._vanished(ref, about)
            told = result.value
            letter = letter_from(
                told.Correspondence,
                told.CorrespondenceAttachments,
                told.CorrespondenceLinks,
                ref,
                self._clock(),
            )
            return letter, _by_id(told.CorrespondenceAttachments, result)

    def _archived_letter(self, ref: LetterRef, about: str) -> tuple[Letter, dict[str, Spooled]]:
        result = self._service.archived_letter(self._archived[ref.external_id], about)
        with _kept(result):
            if (
                result.value is None or result.value.DateSent is None
            ):  # zeep makes an empty letter of nothing
                raise self._vanished(ref, about)
            for row in rows_of(result.value.CorrespondenceAttachments, "AttachmentBEV2"):
                if row.AttachmentData is None and row.AttachmentID:
                    self._add_archived(row, result, about)
            return archived_letter_from(result.value, ref, self._clock()), _by_id(
                result.value.CorrespondenceAttachments, result
            )

    def _vanished(self, ref: LetterRef, about: str) -> MailboxError:
        """What it means that a letter does not come: gone for good, or only moved since it was listed, into the archive or out of it."""
        channel = next(
            (
                each
                for each in self._channels
                if (each.party, each.resource) == (ref.party, ref.resource)
            ),
            None,
        )
        listing = self.list(channel, None) if channel else Listing(refs=())
        if not listing.shortfall and ref.external_id not in {
            each.external_id for each in listing.refs
        }:
            return LetterGone(
                f"{about} is no longer in Altinn 2, neither in the inbox nor in the archive"
            )
        return MailboxUnavailable(
            f"{about} does not come, though it is listed; it may have been moved, and is "
            "tried again at the next poll"
        )

    def _add_archived(self, row: Any, result: Result, about: str) -> None:
        """An attachment that did not come with its letter; it joins those that did."""
        found = self._service.archived_attachment(
            row.AttachmentID, f"attachment {row.AttachmentID} of {about}"
        )
        if found.parts:
            row.AttachmentData = str(len(result.parts)).encode()
            result.parts.extend(found.parts)

    def _look(self, ref: LetterRef) -> Any:
        """The letter without its attachments. Raises LetterGone too."""
        result = self._service.letter(_number(ref), f"letter {ref.external_id}")
        for each in result.parts:
            each.close()
        if result.value is None or is_gone(result.value.Correspondence):
            raise LetterGone(f"letter {ref.external_id} is no longer in Altinn 2's inbox")
        return result.value.Correspondence


@contextmanager
def _kept(result: Result) -> Iterator[None]:
    """Let go of the attachments if the letter turns out to be of no use."""
    try:
        yield
    except BaseException:
        for each in result.parts:
            each.close()
        raise


def _by_id(attachments: Any, result: Result) -> dict[str, Spooled]:
    rows = rows_of(attachments, "AttachmentBEV2")
    numbered = enumerate(rows, start=1)
    return {
        part_id(row, place): result.parts[int(row.AttachmentData)]
        for place, row in numbered
        if row.AttachmentData is not None
    }


def _number(ref: LetterRef) -> int:
    """The number that the interface knows the letter by.

    Raises LetterGone, for a reference to something that can be no letter there.
    """
    number = int(ref.external_id) if ref.external_id.isascii() and ref.external_id.isdigit() else -1
    if not 0 <= number < 1 << 31:
        raise LetterGone(f"letter {ref.external_id} has no number in Altinn 2's inbox")
    return number
