"""Compose a letter's mails: one with everything, or one for each attachment.

The Message-IDs are the same whenever the same letter comes again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from uuid import UUID, uuid5

from connectors.mail.headers import MAIL
from connectors.mail.subjects import subject
from connectors.parcel.render import html_letter, plain_letter
from connectors.parcel.verify import verified_chunks
from daemon.core.cases import case_keys
from daemon.core.document import LetterDocument
from daemon.core.language import Phrases
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Notification, Parcel
from daemon.core.printable import one_line

_LINE = 57
"""Bytes on a line of base64; large attachments have many."""
_ENCODED_LINE = 78


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One of the mails of a letter.

    `key` identifies it among the letter's mails, in every attempt.
    """

    key: str
    parts: tuple[ParcelPart, ...]
    number: str = ""
    """Such as `2/3`, if a letter makes several mails."""

    @property
    def encoded_size(self) -> int:
        """The size of the attachments as sent, in bytes."""
        return sum(-(-part.size // _LINE) * _ENCODED_LINE for part in self.parts)


def sheets(parcel: Parcel, *, one_attachment_each: bool) -> tuple[Sheet, ...]:
    """Return the mails to make of a letter; at least one."""
    if not one_attachment_each or not parcel.parts:
        return (Sheet(key="letter", parts=parcel.parts),)
    places = {file.name: place for place, file in enumerate(parcel.document.files, start=1)}
    numbers = [
        f"{number}/{len(parcel.parts)}" if len(parcel.parts) > 1 else ""
        for number in range(1, len(parcel.parts) + 1)
    ]
    return tuple(
        Sheet(key=str(places[part.name]), parts=(part,), number=number)
        for part, number in zip(parcel.parts, numbers, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class Composer:
    """Makes mails in one style."""

    sender: str
    subject: str
    words: Phrases

    def message_id(self, parcel: Parcel, sheet: Sheet) -> str:
        """Return the mail's id, derived from the delivery's and the attachment's position."""
        place = "" if sheet.key == "letter" else f".{sheet.key}"
        return f"<{parcel.delivery_id}{place}@{self._domain}>"

    def compose(
        self, parcel: Parcel, sheet: Sheet, recipients: Sequence[str], *, with_attachments: bool
    ) -> EmailMessage:
        """Return the mail.

        Without its attachments it says that they are left out, and where they are. Raises as
        `verified_chunks` does.
        """
        mail = EmailMessage(policy=MAIL)
        for name, value in self._headers(parcel, sheet, recipients):
            mail[name] = value
        notice = "" if with_attachments else self._left_out(parcel, sheet)
        mail.set_content(plain_letter(parcel, self.words, notice), cte="quoted-printable")
        html = html_letter(parcel, self.words, notice)
        if html is not None:
            mail.add_alternative(html, subtype="html", cte="quoted-printable")
        for part in sheet.parts if with_attachments else ():
            kind, subtype = _media_type(part)
            mail.add_attachment(
                b"".join(verified_chunks(part)), maintype=kind, subtype=subtype, filename=part.name
            )
        return mail

    @property
    def _domain(self) -> str:
        return self.sender.partition("@")[2]

    def _headers(
        self, parcel: Parcel, sheet: Sheet, recipients: Sequence[str]
    ) -> Iterator[tuple[str, object]]:
        number = f" ({sheet.number})" if sheet.number else ""
        thread = thread_ids(parcel.document, self._domain)
        yield "From", self.sender
        yield "To", ", ".join(recipients)
        yield "Date", parcel.document.fetched_at
        yield "Subject", subject(self.subject, parcel, self.words) + number
        yield "Message-ID", self.message_id(parcel, sheet)
        if thread:
            yield "References", " ".join(thread)
            yield "In-Reply-To", thread[-1]
        yield "Auto-Submitted", "auto-generated"
        yield "X-Postmottak-Delivery", str(parcel.delivery_id)
        yield "X-Postmottak-Message", str(parcel.document.id)
        yield "X-Postmottak-Service", one_line(parcel.document.service.code)

    def _left_out(self, parcel: Parcel, sheet: Sheet) -> str:
        size, encoded = sum(part.size for part in sheet.parts), sheet.encoded_size
        words = self.words
        return words.left_out.format(
            size=words.size(size), encoded=words.size(encoded), letter=parcel.document.id
        )


def _media_type(part: ParcelPart) -> tuple[str, str]:
    """Return the attachment's media type from the sender, if it can be attached as that type."""
    found = re.fullmatch(
        r"(application|audio|font|image|model|text|video)/([a-z0-9][a-z0-9.+_-]*)",
        part.media_type.strip().lower(),
    )
    return (found[1], found[2]) if found else ("application", "octet-stream")


_NAMESPACE = UUID("b5f3c0a4-52c1-5f0b-9d0a-3f6e0c1d7a92")
_BY_NUMBER = re.compile(r"(case|reference):([0-9]+):([0-9]+):(.*)", re.DOTALL)
"""The key of a case whose sender is known by its organisation number."""


def thread_ids(document: LetterDocument, domain: str) -> tuple[str, ...]:
    """Return one id for each case that the letter belongs to (`daemon.core.cases`).

    Two mails share an id if and only if the routing table takes their letters for one case.
    """
    keys = case_keys(
        party=document.party,
        sender_org=document.sender.organisation,
        sender_name=document.sender.name,
        text=f"{document.title} {document.summary}",
        reference=document.sender_reference,
    )
    return tuple(f"<thread.{uuid5(_NAMESPACE, _thread_name(key))}@{domain}>" for key in keys)


def _thread_name(key: str) -> str:
    """Return the text that a case's id is derived from.

    If the sender has an organisation number, the text is the one that versions up to 0.1 used, so
    that threads in mailboxes continue. It differs for different keys: the others keep their colons.
    """
    found = _BY_NUMBER.fullmatch(key)
    return f"{found[2]}/{found[3]}/{found[1]}/{found[4]}" if found else key


def alert_mail(notification: Notification, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Return an alert as a mail."""
    mail = EmailMessage(policy=MAIL)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = notification.at
    mail["Subject"] = notification.subject
    mail["Message-ID"] = f"<{notification.id}@{sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Postmottak-Kind"] = notification.kind
    mail.set_content(f"{notification.text}\n", cte="quoted-printable")
    return mail
