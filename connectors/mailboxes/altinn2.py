"""A mailbox that uses Altinn 2's SOAP interfaces in the Basic variant (docs/altinn2.md).

Altinn switched them off in June 2026; only archives and test systems still offer them. Opening a
letter in the inbox marks it as read there, and nothing can prevent that, so this mailbox marks
letters as read by fetching them, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from connectors.altinn2.client import Altinn2Service, Credentials, Faulted, Result
from connectors.altinn2.letters import (
    CONFIDENTIAL_CODE,
    DPV_CODE,
    Element,
    archived_letter_from,
    elements_from,
    inbox_number,
    is_confirmed,
    is_gone,
    letter_from,
    parts_by_id,
    rows_of,
)
from connectors.altinn2.listing import find_all
from connectors.altinn2.settings import Address, ConfidentialPost, ReadWhenFetched, SomeText
from connectors.altinn2.spool import Spool, Spooled
from connectors.net.diagnostics import Timeout
from connectors.net.settings import (
    HttpMailboxSettings,
    all_or_duration,
    without_repeats,
)
from connectors.soap.call import SoapCaller
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.elapsed import SourceTime
from daemon.core.errors import LetterGone, MailboxError, MailboxUnavailable, PartUnavailable
from daemon.core.model import Letter, LetterRef, Part, PartState
from daemon.core.optional_libraries import need_library
from daemon.core.ports import Channel, Finding, Listing
from daemon.core.settings import (
    Duration,
    OrganisationNumber,
    PositiveDuration,
    SecretFile,
)
from daemon.core.times import shifted
from daemon.core.tls import CaFile, tls_context

_SPOOLED_LETTERS = 16
_REFUSAL_LASTS = timedelta(minutes=10)
_CLOCKS_APART = timedelta(days=1)
_MIB = 1 << 20


class Settings(HttpMailboxSettings):
    """`[mailbox.NAME]` with `type = "altinn2"`."""

    url: Address
    system_name: SomeText
    system_password_file: SecretFile
    user_ssn_file: SecretFile
    user_password_file: SecretFile
    user_pin_file: SecretFile
    auth_method: SomeText = "AltinnPin"
    parties: Annotated[tuple[OrganisationNumber, ...], AfterValidator(without_repeats)]
    confidential: ConfidentialPost = "list"
    poll_every: PositiveDuration = timedelta(hours=1)
    look_back: Duration = timedelta(days=7)
    start_from: Annotated[timedelta | None, BeforeValidator(all_or_duration)] = timedelta(days=30)
    mark_read: ReadWhenFetched = "fetched"
    largest_letter: int = Field(default=64, ge=1, le=1024)
    """In MiB as transferred, which is a third more than its attachments on disk."""
    timeout: Timeout = timedelta(minutes=5)
    """Limit on a whole call."""
    ca_file: CaFile = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        need_library("zeep", "soap")
        return self


def connect(name: str, settings: Settings) -> Altinn2:
    """Make the mailbox; no connection is opened yet."""
    tls = tls_context(settings.ca_file)

    def new_caller() -> SoapCaller:
        return SoapCaller(
            tls=tls,
            seconds=settings.timeout.total_seconds(),
            largest=settings.largest_letter * _MIB,
            proxies=settings.proxies,
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
    """The mailbox, over `service`; `clock` gives the time of day."""

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
        """Return two channels for each party: the ten services together, and confidential post.

        The ten share one because a list names a service code without its edition. Confidential post
        is only listed, and only if the settings ask for it.
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
        channel: Channel,  # noqa: ARG002  # the port has it
        position: datetime | None,
        now: datetime,
    ) -> datetime | None:
        """Return the position less `look_back`.

        Without a position: now less `start_from`, or None, which means everything.
        """
        if position is not None:
            return shifted(position, -self._settings.look_back)
        return (
            shifted(now, -self._settings.start_from)
            if self._settings.start_from is not None
            else None
        )

    def list(self, channel: Channel, since: datetime | None) -> Listing:
        """List the letters in inbox and archive that changed after `since`.

        A letter's change is never earlier than its sending.
        """
        code = channel.service.partition("/")[0]

        def ask(after: datetime | None, before: datetime) -> dict[str, Element]:
            rows = self._service.elements(channel.party, code, after, before)
            return {each.external_id: each for each in elements_from(rows, code)}

        # It is not known whether the server counts in days, or which clock it has: so ask for a day
        # more at both ends.
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
        """Fetch the letter, and keep its attachments for `open_part`.

        Altinn marks a letter in the inbox as read.
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
                "a field has an unexpected type"
                if isinstance(error, ValidationError)
                else str(error)
            )
            words = (
                f"Altinn 2's answer for {about} is not valid: {reason}; it is tried again at the "
                "next poll"
            )
            raise MailboxUnavailable(words) from None
        self._spool.put(ref.external_id, parts)
        return letter

    @contextmanager
    def open_part(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        """Open the attachment's bytes, which came with the letter.

        The letter is fetched again if its attachments are no longer kept.
        """
        if not self._spool.has(ref.external_id):
            self.fetch(ref)
        with self._spool.read(ref.external_id, part.external_id) as chunks:
            if chunks is None:
                words = (
                    f"attachment {part.external_id} of letter {ref.external_id} no longer comes "
                    "with the letter"
                )
                raise PartUnavailable(words, state=PartState.UNAVAILABLE)
            yield chunks

    def mark_read(self, ref: LetterRef) -> None:
        """Open the letter, which marks it as read.

        A letter in the archive was read before it was moved there.
        """
        self._look(ref)

    def confirm(self, ref: LetterRef) -> None:
        """Confirm the letter, if the sender asks for that and it is not done yet.

        Raises LetterGone, AccessRefused or MailboxUnavailable.
        """
        if is_confirmed(self._look(ref)):
            return
        try:
            self._service.confirm(
                inbox_number(ref), f"the confirmation of letter {ref.external_id}"
            )
        except Faulted as faulted:
            if not self.confirmed(ref):
                raise faulted.fault.error(f"to confirm letter {ref.external_id}") from None

    def confirmed(self, ref: LetterRef) -> bool:
        """Return whether the letter is confirmed, or needs no confirmation.

        Raises as `confirm` does.
        """
        return is_confirmed(self._look(ref))

    def check(self) -> Iterator[Finding]:
        """Check that each party's letters can be listed, and say what the interface cannot do."""
        for channel in self.channels():
            yield self._check(channel)
        yield Finding(
            subject="limits",
            ok=True,
            text="every letter that is fetched is marked as read at once; the ten services are "
            "told apart by the service name in the letter, and letters with another name keep the "
            f"service {DPV_CODE}; senders have names but no organisation numbers; letters larger "
            f"than {self._settings.largest_letter} MiB are not fetched, and status lists them",
        )

    def source_time(self) -> SourceTime | None:
        """Return the time that Altinn 2 last sent."""
        return self._service.heard

    def close(self) -> None:
        """Delete the attachments that are kept; connections end with each call."""
        self._spool.clear()

    def _check(self, channel: Channel) -> Finding:
        subject = f"{channel.party} {channel.service}"
        now = self._clock()
        try:
            self._service.elements(channel.party, channel.service.partition("/")[0], now, now)
        except MailboxError as error:
            return Finding(
                subject=subject, ok=channel.presumed, warning=channel.presumed, text=str(error)
            )
        return Finding(subject=subject, ok=True, text="can be listed")

    def _ref(self, channel: Channel, element: Element) -> LetterRef:
        return LetterRef(
            mailbox=self.name,
            external_id=element.external_id,
            party=channel.party,
            service=channel.service,
            resource=channel.resource,
        )

    def _remember(self, element: Element) -> None:
        """Note where a letter is: only the list has both numbers of one moved to the archive."""
        if element.archive_id is None:
            self._archived.pop(element.external_id, None)
        else:
            self._archived[element.external_id] = element.archive_id

    def _letter(self, ref: LetterRef, about: str) -> tuple[Letter, dict[str, Spooled]]:
        result = self._service.letter(inbox_number(ref), about)
        with result.kept():
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
            return letter, parts_by_id(told.CorrespondenceAttachments, result.parts)

    def _archived_letter(self, ref: LetterRef, about: str) -> tuple[Letter, dict[str, Spooled]]:
        result = self._service.archived_letter(self._archived[ref.external_id], about)
        with result.kept():
            if (
                result.value is None or result.value.DateSent is None
            ):  # zeep returns an empty letter for none
                raise self._vanished(ref, about)
            for row in rows_of(result.value.CorrespondenceAttachments, "AttachmentBEV2"):
                if row.AttachmentData is None and row.AttachmentID:
                    self._add_archived(row, result, about)
            parts = parts_by_id(result.value.CorrespondenceAttachments, result.parts)
            return archived_letter_from(result.value, ref, self._clock()), parts

    def _vanished(self, ref: LetterRef, about: str) -> MailboxError:
        """Return why a letter vanished.

        It is gone, or it moved to or from the archive since the list.
        """
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
            f"{about} is listed but was not returned; it may have been moved, and is tried again "
            "at the next poll"
        )

    def _add_archived(self, row: Any, result: Result, about: str) -> None:
        """Fetch an attachment that did not come with its letter, and add it to those that did."""
        found = self._service.archived_attachment(
            row.AttachmentID, f"attachment {row.AttachmentID} of {about}"
        )
        if found.parts:
            row.AttachmentData = str(len(result.parts)).encode()
            result.parts.extend(found.parts)

    def _look(self, ref: LetterRef) -> Any:
        """Fetch the letter without its attachments. Raises LetterGone too."""
        result = self._service.letter(inbox_number(ref), f"letter {ref.external_id}")
        result.close()
        if result.value is None or is_gone(result.value.Correspondence):
            raise LetterGone(f"letter {ref.external_id} is no longer in Altinn 2's inbox")
        return result.value.Correspondence
