"""A mail server on loopback that keeps the mails it receives, and can be set to refuse them."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

Stage = Literal["MAIL", "RCPT", "DATA"]

_LOOPBACK = "127.0.0.1"
_SIZE_LIMIT = 32 << 20


@dataclass(frozen=True, kw_only=True)
class ReceivedMail:
    """One mail and its envelope."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    """As received, from the first header on."""
    tls: bool
    user: str | None
    """The user that was logged in."""
    at: datetime

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)


class MailSink:
    """A context manager that takes mail on 127.0.0.1. All methods may be called from any thread.

    With `starttls` it refuses mail until the client has encrypted; with `tls` it speaks TLS from
    the first byte. With `login`, a name and a password, it takes mail only after that log-in, which
    it offers only over an encrypted connection, if it can encrypt at all; `login_at` is the stage
    at which it refuses a client without one, with Postfix the recipient. With `folder`, each mail
    is also a file there, `0001.eml` and so on. Mails larger than `size_limit` (bytes) are refused
    with 552.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        login_at: Stage = "MAIL",
        folder: Path | None = None,
        size_limit: int = _SIZE_LIMIT,
    ) -> None:
        self.port = port
        """The port; known from entry on."""
        self._starttls = starttls
        self._tls = tls
        self._login = login
        self._login_at = login_at
        self._folder = folder
        self._size_limit = size_limit
        self._changed = threading.Condition()
        self._mails: list[ReceivedMail] = []
        self._refusals: dict[tuple[Stage, str | None], str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return _LOOPBACK

    @property
    def mails(self) -> tuple[ReceivedMail, ...]:
        """The mails taken so far, in order."""
        with self._changed:
            return tuple(self._mails)

    def wait_for(self, number: int, timeout: float = 10.0) -> bool:
        """Wait until this many mails were taken; return whether they were in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._mails) >= number, timeout)

    def refuse(self, reply: str, *, recipient: str | None = None, at: Stage = "RCPT") -> None:
        """Answer with `reply` from now on, such as `451 4.3.0 try later`.

        To one recipient, or to all, at that stage.
        """
        with self._changed:
            self._refusals[at, recipient] = reply

    def accept(self) -> None:
        """Stop refusing."""
        with self._changed:
            self._refusals.clear()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(
            self._loop.create_server(self._protocol, _LOOPBACK, self.port, ssl=self._tls)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(
            target=_serve, args=(self._loop, server), name=f"mail-sink-{self.port}", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _protocol(self) -> Any:
        return SMTP(
            _Handler(self),
            hostname="mail-sink",
            ident="sandbox",
            data_size_limit=self._size_limit,
            enable_SMTPUTF8=True,
            tls_context=self._starttls,
            require_starttls=self._starttls is not None,
            auth_require_tls=self._starttls is not None,
            auth_exclude_mechanism=() if self._login else ("LOGIN", "PLAIN"),
            authenticator=self._authenticate,
            loop=self._loop,
        )

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        given = (
            (data.login.decode(), data.password.decode())
            if isinstance(data, LoginPassword)
            else None
        )
        right = self._login is not None and given == self._login
        return AuthResult(
            success=right, handled=False, auth_data=given[0] if given and right else None
        )

    @property
    def encrypts_at_once(self) -> bool:
        """Whether every connection is encrypted from its first byte."""
        return self._tls is not None

    def needs_login(self, at: Stage) -> bool:
        """Whether a client is refused at this stage if it has not logged in."""
        return self._login is not None and at == self._login_at

    def refusal(self, at: Stage, recipient: str | None = None) -> str | None:
        """Return the refusal at this stage, or None."""
        with self._changed:
            return self._refusals.get((at, recipient)) or self._refusals.get((at, None))

    def keep(self, mail: ReceivedMail) -> None:
        """Keep a mail."""
        with self._changed:
            self._mails.append(mail)
            if self._folder:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / f"{len(self._mails):04}.eml").write_bytes(mail.raw)
            self._changed.notify_all()


class _Handler:
    """The handler that aiosmtpd calls at each stage; it finds these methods by their names."""

    def __init__(self, sink: MailSink) -> None:
        self._sink = sink

    async def handle_MAIL(  # noqa: N802
        self, _server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self._sink.needs_login("MAIL") and not session.authenticated:
            return "530 5.7.0 Authentication required"
        refusal = self._sink.refusal("MAIL")
        if refusal:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if self._sink.needs_login("RCPT") and not session.authenticated:
            return "554 5.7.1 Client host rejected: Access denied"
        refusal = self._sink.refusal("RCPT", address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        refusal = self._sink.refusal("DATA")
        if refusal:
            return refusal
        mail = ReceivedMail(
            sender=envelope.mail_from,
            recipients=tuple(envelope.rcpt_tos),
            raw=envelope.original_content,
            tls=self._sink.encrypts_at_once or session.ssl is not None,
            user=session.auth_data if session.authenticated else None,
            at=datetime.now(UTC),
        )
        self._sink.keep(mail)
        return "250 OK"


def _serve(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
    """Run until the loop is stopped, then close everything that is still open."""
    loop.run_forever()
    loop.run_until_complete(_end(server))
    loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
