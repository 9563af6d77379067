"""E-mail: one message for each letter, the same Message-ID in every repeat, to all recipients or to none.

A mail is built in memory: sending one takes about six times the size of its attachments, so 150 MB at the default limit.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from connectors.network import Timeout, is_host, plain_reason
from connectors.parcels import refuse_unsafe_names, verified_chunks
from connectors.rendering import one_line, plain_letter, size_text, subject
from connectors.tls import CaFile, tls_context
from daemon.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.model import ParcelPart, Receipt
from daemon.ports import Destination, Finding, Parcel
from daemon.settings import ConnectorSettings, SecretFile, duration

_ACCEPTED = range(200, 300)
_REFUSED = range(500, 600)
_ACCESS = frozenset({530, 534, 535, 538})
"""RFC 4954: what is refused is the log-in, not the letter. The operator mends that, and the letter waits for it."""
_TOO_BIG = frozenset({523, 552})
_CLOSED = "it closed the connection before it had answered"


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError('is no host name; write the name of the mail server alone, such as "smtp.example.no"')
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"""[^\s@<>()\[\],;:\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*""", text) or not text.isascii():
        raise ValueError(f'{text!r} is no e-mail address; write it alone and in ASCII, such as "post@example.no"')
    return text


Address = Annotated[str, AfterValidator(_address)]


class Settings(ConnectorSettings):
    """`[destination.NAME]` with `type = "smtp"`."""

    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: CaFile = None
    username: str = ""
    password_file: SecretFile | None = None
    sender: Address
    recipients: tuple[Address, ...] = Field(min_length=1)
    timeout: Timeout = duration("30s")
    """For each step of the exchange with the server."""
    max_attachment_bytes: int = Field(default=25_000_000, ge=0)
    """A letter with more than this is mailed without its attachments, with a line that says where they are."""

    @model_validator(mode="after")
    def _log_in_is_whole(self) -> Self:
        if bool(self.username) != bool(self.password_file):
            raise ValueError("has one of username and password_file without the other; write both, or neither")
        if self.username and self.security == "none":
            raise ValueError('would send its password unencrypted; write security = "starttls" or "tls"')
        if not (self.username.isascii() and (self.password_file is None or self.password_file.value.isascii())):
            raise ValueError("has a username or a password with letters outside ASCII; choose others, for not every server takes them")
        return self


def connect(name: str, settings: Settings) -> Destination:
    """Mail to the recipients of `settings`."""
    return Mail(name, settings)


class Mail:
    """Mails letters. May be used from several threads; each mail has a connection of its own."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._tls = tls_context(settings.ca_file)

    def check(self) -> Iterator[Finding]:
        """Connect, encrypt and log in as for a mail, and leave."""
        settings = self._settings
        try:
            with self._conversation() as server:
                _expect(server.noop(), "to be asked", "look at its log")
        except (DeliveryFailure, OSError) as error:
            text = str(error) if isinstance(error, DeliveryFailure) else self._unreachable(error)
            yield Finding(subject=f"destination {self.name}", ok=False, text=text)
        else:
            how = "unencrypted" if settings.security == "none" else "encrypted"
            who = f", logged in as {settings.username}" if settings.username else ""
            text = f"{self._server} answers, {how}{who}; no mail was sent, so the recipients are not proven"
            yield Finding(subject=f"destination {self.name}", ok=True, text=text)

    def deliver(self, parcel: Parcel) -> Receipt:
        """Mail the letter to all recipients; if the server refuses one of them, it goes to none.

        A repeat is a second mail with the same Message-ID, for a mail server cannot be asked. A confidential letter is refused.
        """
        if parcel.document.confidential:
            raise PermanentFailure("a confidential letter does not go by e-mail; route it to a file drop or a webhook")
        refuse_unsafe_names(parcel)
        mail = self._mail(parcel)
        message_id, has_attachments = str(mail["Message-ID"]), self._takes_attachments(parcel)
        try:
            self._send(mail.as_bytes())
        except OSError as error:
            raise TemporaryFailure(self._unreachable(error)) from error
        details = {"message_id": message_id, "recipients": list(self._settings.recipients), "with_attachments": has_attachments}
        return Receipt(reference=message_id, details=details)

    def close(self) -> None:
        """No connection outlives its mail."""

    @property
    def _server(self) -> str:
        return f"the mail server {self._settings.host}:{self._settings.port}"

    def _unreachable(self, error: OSError) -> str:
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{self._server} is not ready: it answers with status {error.smtp_code}"
        return f"{self._server} cannot be used: {plain_reason(error, _CLOSED)}"

    def _send(self, mail: bytes) -> None:
        """Send, asking for every recipient before anything of the letter is said."""
        with self._conversation() as server:
            options = [f"size={len(mail)}"] if server.has_extn("size") else []
            _expect(server.mail(self._settings.sender, options), "the sender", "correct sender")
            replies = [(recipient, server.rcpt(recipient)) for recipient in self._settings.recipients]
            _expect_all(replies)
            try:
                reply = server.data(mail)
            except smtplib.SMTPDataError as error:
                reply = (error.smtp_code, b"")
            _expect(reply, "the mail", "look at its log")

    @contextmanager
    def _conversation(self) -> Iterator[smtplib.SMTP]:
        """A server that is ready for a mail. Raises OSError or TemporaryFailure if it does not get that far."""
        server = self._connect()
        try:
            self._secure(server)
            self._log_in(server)
            yield server
        finally:
            with suppress(OSError):  # QUIT ends a mail that was not finished, and what is finished stands, whatever the answer
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        host, port, seconds = self._settings.host, self._settings.port, self._settings.timeout.total_seconds()
        if self._settings.security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=seconds, context=self._tls)
        return smtplib.SMTP(host, port, timeout=seconds)

    def _secure(self, server: smtplib.SMTP) -> None:
        if self._settings.security == "starttls":
            try:
                server.starttls(context=self._tls)
            except smtplib.SMTPNotSupportedError as error:
                raise TemporaryFailure(f'{self._server} offers no STARTTLS; write security = "tls", or mend the server') from error
        server.ehlo_or_helo_if_needed()

    def _log_in(self, server: smtplib.SMTP) -> None:
        secret = self._settings.password_file
        if secret is None:
            return
        try:
            server.login(self._settings.username, secret.value)
        except smtplib.SMTPAuthenticationError as error:
            reason = f"refuses the log-in (status {error.smtp_code}); correct username and password_file"
            raise TemporaryFailure(f"{self._server} {reason}") from None  # the server's words could repeat the password
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException as error:
            raise TemporaryFailure(f"{self._server} offers no way to log in that is known here; ask for PLAIN or LOGIN") from error

    def _takes_attachments(self, parcel: Parcel) -> bool:
        return sum(part.size for part in parcel.parts) <= self._settings.max_attachment_bytes

    def _mail(self, parcel: Parcel) -> EmailMessage:
        takes_attachments = self._takes_attachments(parcel)
        mail = EmailMessage(policy=SMTP)
        for name, value in self._headers(parcel):
            mail[name] = value
        notice = "" if takes_attachments else _too_big_notice(parcel, self._settings.max_attachment_bytes)
        mail.set_content(plain_letter(parcel, notice), cte="quoted-printable")
        for part in parcel.parts if takes_attachments else ():
            kind, subtype = _media_type(part)
            mail.add_attachment(b"".join(verified_chunks(part)), maintype=kind, subtype=subtype, filename=part.name)
        return mail

    def _headers(self, parcel: Parcel) -> Iterator[tuple[str, object]]:
        domain = self._settings.sender.partition("@")[2]
        yield "From", self._settings.sender
        yield "To", ", ".join(self._settings.recipients)
        yield "Date", parcel.document.fetched_at
        yield "Subject", _literal(subject(parcel.document))
        yield "Message-ID", f"<{parcel.delivery_id}@{domain}>"
        yield "Auto-Submitted", "auto-generated"
        yield "X-Postmottak-Delivery", str(parcel.delivery_id)
        yield "X-Postmottak-Message", str(parcel.document.id)
        yield "X-Postmottak-Service", _literal(one_line(parcel.document.service.code))


def _literal(line: str) -> str:
    """The line without encoded words: email would decode one that a sender wrote, and the line breaks in it would end the header."""
    return line.replace("=?", "= ?")


def _media_type(part: ParcelPart) -> tuple[str, str]:
    """The sender's word for the attachment's kind, where it is one that can be attached as it is."""
    found = re.fullmatch(r"(application|audio|font|image|model|text|video)/([a-z0-9][a-z0-9.+_-]*)", part.media_type.strip().lower())
    return (found[1], found[2]) if found else ("application", "octet-stream")


def _too_big_notice(parcel: Parcel, limit: int) -> str:
    size = size_text(sum(part.size for part in parcel.parts))
    return (
        f"Vedleggene er ikke med: de er til sammen {size}, og grensen for denne e-postmottakeren er {size_text(limit)}.\n"
        f"Brevet er oppbevart i Postmottak med alle vedlegg. Hentes ut med: postmottak messages export {parcel.document.id}"
    )


def _expect_all(replies: list[tuple[str, tuple[int, bytes]]]) -> None:
    """Raise if a recipient is refused: for now if one of them is refused for now, because then all may go well later."""
    refused = [(recipient, code) for recipient, (code, _) in replies if code not in _ACCEPTED]
    if refused:
        recipient, code = min(refused, key=lambda each: each[1] in _REFUSED)
        what = f"{len(refused)} of {len(replies)} recipients, such as {recipient}, so nobody was sent the letter"
        raise _refusal(code, what, "correct recipients")


def _expect(reply: tuple[int, bytes], what: str, remedy: str) -> None:
    if reply[0] not in _ACCEPTED:
        raise _refusal(reply[0], what, remedy)


def _refusal(code: int, what: str, remedy: str) -> DeliveryFailure:
    """The failure that a status means. The server's own words stay out of it, for they may repeat what they are about."""
    if code in _ACCESS:
        return TemporaryFailure(f"the mail server wants another log-in (status {code}); look at security, username and password_file")
    if code in _TOO_BIG:
        return PermanentFailure(f"the mail server has no room for a mail so big (status {code}); lower max_attachment_bytes, and retry")
    refusal = f"the mail server refuses {what} (status {code})"
    if code in _REFUSED:
        return PermanentFailure(f"{refusal}; {remedy}, and retry the delivery")
    return TemporaryFailure(f"{refusal}; it is tried again later")
