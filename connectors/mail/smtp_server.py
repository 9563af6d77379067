"""The mail server: connecting, encrypting, logging in, and handing over one mail."""

from __future__ import annotations

import re
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from connectors.mail.conversation import STEPS, Conversation, EncryptedConversation
from connectors.mail.replies import ACCEPTED, NEEDS_LOGIN, SmtpRefusal, Stage
from connectors.net.diagnostics import Timeout, explain_error, is_host, remedy_for
from connectors.net.socket_deadline import SocketDeadline
from daemon.core.callbacks import do_nothing
from daemon.core.durations import duration
from daemon.core.errors import TemporaryFailure
from daemon.core.settings import DestinationSettings, SecretFile
from daemon.core.tls import CaFile, tls_context

_REFUSED = range(500, 600)
_CLOSED = "it closed the connection before it had answered"


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError(
            "is not a valid host name; write the name of the mail server alone, such as "
            '"smtp.example.no"'
        )
    return text


class ServerSettings(DestinationSettings):
    """The server's settings in `[destination.NAME]`."""

    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: CaFile = None
    username: str = ""
    password_file: SecretFile | None = None
    timeout: Timeout = duration("30s")
    """For each step of the exchange with the server."""

    @model_validator(mode="after")
    def _log_in_is_whole(self) -> Self:
        if bool(self.username) != bool(self.password_file):
            raise ValueError(
                "has one of username and password_file without the other; write both, or neither"
            )
        if self.username and self.security == "none":
            raise ValueError(
                'would send its password unencrypted; write security = "starttls" or "tls"'
            )
        if not (
            self.username.isascii()
            and (self.password_file is None or self.password_file.value.isascii())
        ):
            raise ValueError(
                "has a username or a password with letters outside ASCII; choose others, for "
                "not every server takes them"
            )
        return self


class LoginOffer(Enum):
    """What a server says of logging in."""

    USED = auto()
    NONE = auto()
    NOT_NEEDED = auto()
    UNKNOWN = auto()
    """It offers a log-in, and may demand one once it knows a mail's recipient."""


class MailServer:
    """Makes connections to one server, from any number of threads."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._seconds = settings.timeout.total_seconds()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Whom it trusts, once it needs that: OpenSSL takes 30 ms to read the authorities."""
        return tls_context(self._settings.ca_file)

    def __str__(self) -> str:
        return f"the mail server {self._settings.host}:{self._settings.port}"

    def unreachable(self, error: OSError) -> str:
        """Explain why a conversation ended early, without quoting it."""
        if isinstance(error, smtplib.SMTPResponseException):
            return f"{self} is not ready: it answers with status {error.smtp_code}"
        return f"{self} cannot be used: {explain_error(error, _CLOSED)}; {remedy_for(error)}"

    def prove(self, sender: str, recipient: str = "") -> LoginOffer:
        """Connect, encrypt and log in, begin a mail, and disconnect before it is sent.

        A server that offers a log-in and refuses the mail without one demands it; that may show at
        the sender, or only at the recipient. Raises as `conversation` does.
        """
        with self.conversation() as server:
            code, _ = server.noop()
            if code not in ACCEPTED:
                raise TemporaryFailure(
                    f"{self} refuses the test command (status {code}); check its log"
                )
            if self._settings.username:
                return LoginOffer.USED
            self._begin_mail(server, sender, recipient)
            if not server.has_extn("auth"):
                return LoginOffer.NONE
            return LoginOffer.NOT_NEEDED if recipient else LoginOffer.UNKNOWN

    def _begin_mail(self, server: Conversation, sender: str, recipient: str) -> None:
        """Begin a mail without a log-in, and end it. Raises TemporaryFailure if one is wanted."""
        code, whom = server.mail(sender)[0], sender
        if recipient and code in ACCEPTED:
            code, whom = server.rcpt(recipient)[0], recipient
        with suppress(OSError):
            server.rset()
        if code in NEEDS_LOGIN:
            raise TemporaryFailure(
                f"{self} takes no mail without a log-in (status {code}); write username and "
                "password_file"
            )
        if code in _REFUSED and server.has_extn("auth"):
            raise TemporaryFailure(
                f"{self} refuses {whom} without a log-in (status {code}), and offers one; write "
                "username and password_file, or correct the address"
            )

    @contextmanager
    def conversation(self) -> Iterator[Conversation]:
        """Yield a connection to a server that is ready for mail.

        Raises OSError or TemporaryFailure if it does not get that far, and TemporaryFailure if the
        conversation takes too long as a whole.
        """
        with SocketDeadline(STEPS * self._seconds) as deadline:
            try:
                with self._ready(deadline) as server:
                    yield server
            except OSError as error:
                if not deadline.passed:
                    raise
                raise TemporaryFailure(
                    f"{self} took too long: it was not ready, or had not taken a mail, within "
                    f"{STEPS} times timeout; check whether it is overloaded, or raise timeout"
                ) from error

    @contextmanager
    def _ready(self, deadline: SocketDeadline) -> Iterator[Conversation]:
        server = self._connect(deadline)
        try:
            self._secure(server)
            self._log_in(server)
            yield server
        finally:
            # QUIT ends an unfinished mail; a finished one stands, whatever the reply is
            deadline.restart(self._seconds)
            with suppress(OSError):
                server.quit()
            server.close()

    def _connect(self, deadline: SocketDeadline) -> Conversation:
        host, port = self._settings.host, self._settings.port
        if self._settings.security == "tls":
            return EncryptedConversation(
                deadline, host, port, timeout=self._seconds, context=self._tls
            )
        return Conversation(deadline, host, port, timeout=self._seconds)

    def _secure(self, server: Conversation) -> None:
        if self._settings.security == "starttls":
            try:
                server.starttls(context=self._tls)
            except smtplib.SMTPNotSupportedError as error:
                raise TemporaryFailure(
                    f'{self} offers no STARTTLS; write security = "tls", or fix the server'
                ) from error
        server.ehlo_or_helo_if_needed()

    def _log_in(self, server: Conversation) -> None:
        secret = self._settings.password_file
        if secret is None:
            return
        try:
            server.login(self._settings.username, secret.value)
        except smtplib.SMTPAuthenticationError as error:
            reason = (
                f"refuses the log-in (status {error.smtp_code}); correct username and password_file"
            )
            raise TemporaryFailure(
                f"{self} {reason}"
            ) from None  # the server's words could repeat the password
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException as error:
            raise TemporaryFailure(
                f"{self} offers no supported way to log in; ask its owner for PLAIN or LOGIN"
            ) from error


def takes(server: Conversation, size: int) -> bool:
    """Return whether a mail of this many bytes is within the server's announced limit.

    It may announce none.
    """
    limit = server.esmtp_features.get("size", "")
    return not re.fullmatch(r"[1-9][0-9]{0,17}", limit) or size <= int(limit)


def hand_over(
    server: Conversation,
    mail: bytes,
    sender: str,
    recipients: Sequence[str],
    confirm: Callable[[], None] = do_nothing,
) -> Mapping[str, SmtpRefusal]:
    """Send the mail to everyone that the server accepts; return who it refuses, and why.

    The others have it. Raises OSError if that is not known, and what `confirm` raises, which is
    called last before the mail is sent.
    """
    server.begin_mail(len(mail))
    options = [f"size={len(mail)}"] if server.has_extn("size") else []
    code, _ = server.mail(sender, options)
    if code not in ACCEPTED:
        return dict.fromkeys(recipients, SmtpRefusal(code, Stage.SENDER))
    codes = {recipient: server.rcpt(recipient)[0] for recipient in recipients}
    refused = {
        recipient: SmtpRefusal(code, Stage.RECIPIENT)
        for recipient, code in codes.items()
        if code not in ACCEPTED
    }
    accepted = [recipient for recipient in recipients if recipient not in refused]
    if not accepted:
        return refused
    confirm()
    try:
        code, _ = server.data(mail)
    except smtplib.SMTPDataError as error:
        code = error.smtp_code
    return (
        refused
        if code in ACCEPTED
        else refused | dict.fromkeys(accepted, SmtpRefusal(code, Stage.MAIL))
    )


class MemoryBudget:
    """Room for this many bytes, for several threads.

    A request that is larger than the whole room gets it when it is empty.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait for this many bytes of room, and hold them until the block ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._size)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()
