"""E-mail: one mail per letter, or one per attachment, with the same Message-ID in every repeat.

Each recipient's reply counts for that recipient alone. A mail is built in memory: sending one takes
about six times the size of its attachments, so some 110 MB at the default limit. Large mails wait
for each other, so that many at a time do not take many times that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import Field

from connectors.mail.compose import Composer, Sheet, alert_mail, sheets
from connectors.mail.conversation import Conversation
from connectors.mail.progress import SendProgress
from connectors.mail.replies import SmtpRefusal
from connectors.mail.smtp_server import (
    LoginOffer,
    MailServer,
    MemoryBudget,
    ServerSettings,
    hand_over,
    takes,
)
from connectors.mail.subjects import STANDARD, SubjectTemplate, example
from connectors.parcel.verify import refuse_unsafe_names
from daemon.core.callbacks import do_nothing
from daemon.core.errors import ContentMissing, DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.core.language import WORDS, Language
from daemon.core.model import MessageKind
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination, Finding, Notification, Parcel
from daemon.core.settings import MailAddress, is_mail_address

_ROOM = 25_000_000  # bytes, encoded, of mails that are made and sent at a time


class Settings(ServerSettings):
    """`[destination.NAME]` with `type = "smtp"`."""

    sender: MailAddress
    recipients: tuple[MailAddress, ...] = ()
    """Recipients of every letter, in addition to those in the routing table that have an `email`.
    """
    language: Language = "nb"
    subject: SubjectTemplate = STANDARD
    one_attachment_per_mail: bool = False
    max_attachment_bytes: int = Field(default=25_000_000, ge=0)
    """As sent, which is a third more than on disk. A larger mail is sent without its attachments,
    and says where they are.
    """

    @property
    def place(self) -> str:
        """The server, and the recipients that do not depend on a letter."""
        to = ", ".join(self.recipients)
        return f"{self.host}:{self.port}{f' to {to}' if to else ''}"

    @property
    def can_notify(self) -> bool:
        """Whether there are recipients that do not depend on a letter."""
        return bool(self.recipients)

    @property
    def can_notify_people(self) -> bool:
        """Yes, at their addresses."""
        return True

    @property
    def can_send_test(self) -> bool:
        """Whether there are recipients that do not depend on a letter."""
        return bool(self.recipients)


def connect(name: str, settings: Settings) -> Destination:
    """Return a mail destination for the recipients of `settings` and of the routing table."""
    return Mail(name, settings)


class Mail:
    """Mails letters. May be used from several threads; each letter has a connection of its own."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._server = MailServer(settings)
        self._room = MemoryBudget(_ROOM)
        self._composer = Composer(
            sender=settings.sender, subject=settings.subject, words=WORDS[settings.language]
        )

    def check(self) -> Iterator[Finding]:
        """Connect, encrypt, log in, begin a mail, and disconnect before it is sent."""
        subject = f"destination {self.name}"
        try:
            login = self._server.prove(self._settings.sender, *self._settings.recipients[:1])
        except (DeliveryFailure, OSError) as error:
            text = (
                str(error)
                if isinstance(error, DeliveryFailure)
                else self._server.unreachable(error)
            )
            yield Finding(subject=subject, ok=False, text=text)
            return
        yield Finding(subject=subject, ok=True, text=self._works())
        if login is LoginOffer.UNKNOWN:
            text = (
                f"{self._server} offers a log-in, and none is configured; if it demands one, write "
                "username and password_file"
            )
            yield Finding(subject=subject, ok=True, text=text, warning=True)

    def _works(self) -> str:
        settings = self._settings
        how = "unencrypted" if settings.security == "none" else "encrypted"
        who = f", logged in as {settings.username}" if settings.username else ""
        to = "" if settings.recipients else " and are those of the routing table that have an email"
        not_proven = f"no mail was sent, so the recipients were not tested{to}"
        return (
            f"{self._server} answers, {how}{who}; {not_proven}; a subject would be "
            f'"{example(settings.subject)}"'
        )

    def deliver(self, parcel: Parcel) -> Receipt:
        """Mail the letter to the recipients that do not have it yet, as far as is known.

        After a lost reply or a crash a recipient may get a second mail, with the same Message-ID,
        because a mail server cannot be asked. A confidential letter is refused; the notice that one
        waits is not.
        """
        if parcel.document.confidential and parcel.document.kind is not MessageKind.NOTICE:
            raise PermanentFailure(
                "a confidential letter does not go by e-mail; route it to a file drop or a webhook"
            )
        refuse_unsafe_names(parcel)
        recipients = self._recipients(parcel)
        mails = sheets(parcel, one_attachment_each=self._settings.one_attachment_per_mail)
        progress = SendProgress(parcel.progress, recipients, [sheet.key for sheet in mails])
        # before the conversation, because a server does not wait
        with self._room.taken(self._largest(mails)):
            self._send_all(parcel, mails, recipients, progress)
        failure = progress.failure(str(self._server))
        if failure:
            raise failure
        reference = self._composer.message_id(parcel, mails[0])
        details = {
            "mails": len(mails),
            "recipients": list(recipients),
            "with_attachments": progress.complete,
        }
        return Receipt(reference=reference, details={"message_id": reference, **details})

    def notify(self, notification: Notification) -> None:
        """Mail the alert to the recipients of the settings, or to the people that it is for.

        A repeat has the same Message-ID.
        """
        recipients = notification.to or self._settings.recipients
        mail = alert_mail(notification, self._settings.sender, recipients).as_bytes()
        try:
            with self._server.conversation() as server:
                refused = self._send(server, mail, recipients)
        except OSError as error:
            raise TemporaryFailure(self._server.unreachable(error)) from error
        if len(refused) == len(recipients):
            raise TemporaryFailure(
                f"{self._server} refuses every recipient; check {_where_from(notification)}, "
                "and its log"
            )

    def send_test(self, sample: Parcel) -> str:
        """Mail a test to the recipients of the settings; it has no attachment."""
        recipients = self._settings.recipients
        if not recipients:
            raise PermanentFailure(
                "it cannot be tested this way, because its recipients are those of each letter; "
                "write recipients, or let `postmottak check` try the server"
            )
        document = sample.document
        self.notify(
            Notification(
                id=sample.delivery_id,
                kind="canary" if document.kind is MessageKind.CANARY else "test",
                ended=False,
                critical=False,
                subject=document.title,
                text=sample.body.decode(),
                at=document.published_at,
            )
        )
        return f"a test mail was accepted by {self._server} for {', '.join(recipients)}"

    def close(self) -> None:
        """Do nothing: no connection is kept after its letter."""

    def _recipients(self, parcel: Parcel) -> tuple[str, ...]:
        """Return all recipients of the letter, each once."""
        found = [
            *self._settings.recipients,
            *(each.email for each in parcel.addressees if each.email),
        ]
        bad = [address for address in found if not is_mail_address(address)]
        if bad:
            raise TemporaryFailure(
                f"{bad[0]!r} is not a valid e-mail address; write it alone and in "
                "ASCII in the routing table"
            )
        if not found:
            names = ", ".join(each.name for each in parcel.addressees) or "the letter's recipients"
            remedy = f"write email in the routing table, or recipients in [destination.{self.name}]"
            raise TemporaryFailure(f"no e-mail address for {names}; {remedy}")
        unique: dict[str, str] = {}
        for address in found:
            unique.setdefault(address.casefold(), address)
        return tuple(unique.values())

    def _largest(self, mails: Sequence[Sheet]) -> int:
        """Return the bytes of attachments in the largest mail that will be made."""
        return max(
            sheet.encoded_size if sheet.encoded_size <= self._settings.max_attachment_bytes else 0
            for sheet in mails
        )

    def _send_all(
        self,
        parcel: Parcel,
        mails: Sequence[Sheet],
        recipients: Sequence[str],
        progress: SendProgress,
    ) -> None:
        """Send what is still to be sent; a failure does not lose the record of what was sent."""
        due = [sheet for sheet in mails if progress.waiting(sheet.key)]
        if not due:
            return
        try:
            with self._server.conversation() as server:
                for sheet in due:
                    if sheet is not due[0]:
                        server.rset()
                    self._send_one(server, parcel, sheet, recipients, progress)
        except OSError as error:
            raise TemporaryFailure(
                self._server.unreachable(error), progress=progress.kept()
            ) from error
        except TemporaryFailure as failure:
            failure.progress = progress.kept()
            raise
        except ContentMissing as missing:
            if not progress.begun:
                raise
            raise TemporaryFailure(str(missing), progress=progress.kept()) from missing

    def _send_one(
        self,
        server: Conversation,
        parcel: Parcel,
        sheet: Sheet,
        recipients: Sequence[str],
        progress: SendProgress,
    ) -> None:
        waiting = progress.waiting(sheet.key)
        if waiting:
            mail, bare = self._mail(server, parcel, sheet, recipients)
            progress.sent(
                sheet.key, waiting, self._send(server, mail, waiting, parcel.confirm), bare=bare
            )

    def _mail(
        self, server: Conversation, parcel: Parcel, sheet: Sheet, recipients: Sequence[str]
    ) -> tuple[bytes, bool]:
        """Return the mail, and whether it had to be made without its attachments."""
        if sheet.encoded_size <= self._settings.max_attachment_bytes:
            mail = self._composer.compose(
                parcel, sheet, recipients, with_attachments=True
            ).as_bytes()
            if not sheet.parts or takes(server, len(mail)):
                return mail, False
        return self._composer.compose(
            parcel, sheet, recipients, with_attachments=False
        ).as_bytes(), True

    def _send(
        self,
        server: Conversation,
        mail: bytes,
        recipients: Sequence[str],
        confirm: Callable[[], None] = do_nothing,
    ) -> Mapping[str, SmtpRefusal]:
        return hand_over(server, mail, self._settings.sender, recipients, confirm)


def _where_from(notification: Notification) -> str:
    return "the address in the routing table" if notification.to else "recipients"
