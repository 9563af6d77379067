"""A file drop, and servers on loopback that misbehave on request, which the sandbox's do not."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connectors.destinations.filedrop import FileDrop, Settings


@pytest.fixture
def waking() -> str:
    """How a test of the Altinn 3 mailbox finds its letters, unless its file says otherwise."""
    return "list"


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """An empty folder for letters."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def destination(drop: Path) -> FileDrop:
    """A file drop there."""
    return FileDrop("erp", Settings(path=drop))


class Server(socketserver.ThreadingTCPServer):
    """A TCP server on a free port of 127.0.0.1, with TLS from the first byte if `tls` is given."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, handler: type[socketserver.BaseRequestHandler], tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.port = int(self.server_address[1])
        self.tls = tls
        self.ended = threading.Event()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with suppress(
            OSError
        ):  # a client that goes away, or does not trust us, is what some tests are about
            if self.tls is None:
                super().finish_request(request, client_address)
                return
            with self.tls.wrap_socket(request, server_side=True) as encrypted:
                super().finish_request(encrypted, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing but OSError is expected, and that is dealt with; a fault of a test's own handler
        shows in its assertions."""


class ScriptedMail(Server):
    """A mail server that accepts everything, unless `script` has another answer to a command.

    A key is the beginning of a command as the client sends it, or `greeting`, or `.` for the end of
    a mail. An empty answer hangs up; None sends no answer at all.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(_MailHandler, tls)
        self.starttls = starttls
        self.script: dict[str, str | None] = {}
        self.commands: list[str] = []
        self.mails: list[bytes] = []

    def answer(self, command: str) -> str | None:
        for beginning, answer in self.script.items():
            if command.upper().startswith(beginning.upper()):
                return answer
        usual = {
            "EHLO": self._greeting(),
            "DATA": "354 go on",
            "AUTH": "235 welcome",
            "GREET": "220 scripted",
            "START": "220 go on",
        }
        return usual.get(command[:5].strip().upper(), "250 ok")

    def _greeting(self) -> str:
        offers = [
            "250-scripted",
            "250-SIZE 50000000",
            *(["250-STARTTLS"] if self.starttls else []),
            "250 AUTH PLAIN",
        ]
        return "\r\n".join(offers)


class _MailHandler(socketserver.StreamRequestHandler):
    server: ScriptedMail

    def handle(self) -> None:
        if not self.say("greeting"):
            return
        while line := self.rfile.readline():
            command = line.decode().rstrip("\r\n")
            self.server.commands.append(command)
            if not self.say(command):
                return
            if command == "STARTTLS" and self.server.starttls:
                self.encrypt(self.server.starttls)
            if (
                command.upper() == "DATA"
                and self.server.answer(command) == "354 go on"
                and not self.take_mail()
            ):
                return
            if command.upper() == "QUIT":
                return

    def say(self, command: str) -> bool:
        answer = self.server.answer(command)
        if answer is None:
            self.server.ended.wait()
        if not answer:
            return False
        self.wfile.write(answer.encode() + b"\r\n")
        return True

    def encrypt(self, context: ssl.SSLContext) -> None:
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = (
            self.connection.makefile("rb"),
            self.connection.makefile("wb", buffering=0),
        )

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def take_mail(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.mails.append(b"".join(lines))
        return self.say(".")


Kind = TypeVar("Kind", bound=Server)
Answer = Callable[[Any, threading.Event], None]


class ScriptedWeb(Server):
    """A web server that reads each request whole, keeps it, and lets `answer(connection, ended)`
    write whatever it likes."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(_WebHandler, tls)
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str], bytes]] = []


class _WebHandler(socketserver.StreamRequestHandler):
    server: ScriptedWeb

    def handle(self) -> None:
        first = self.rfile.readline().decode()
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        if first:
            self.server.requests.append((first.strip(), headers, body))
            self.server.answer(self.connection, self.server.ended)


def status(line: str, *headers: str) -> Answer:
    """An answer of nothing but this status line and these headers."""
    text = "\r\n".join(
        [f"HTTP/1.1 {line}", *headers, "content-length: 0", "connection: close", "", ""]
    )
    return lambda connection, _: connection.sendall(text.encode())


class Servers:
    """Starts servers, and stops them when the test is over."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def mail(
        self, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None
    ) -> ScriptedMail:
        return self._start(ScriptedMail(tls, starttls))

    def web(self, answer: Answer, *, tls: ssl.SSLContext | None = None) -> ScriptedWeb:
        return self._start(ScriptedWeb(answer, tls))

    def tcp(self, handler: type[socketserver.BaseRequestHandler]) -> Server:
        return self._start(Server(handler))

    def web_status(self, line: str, *headers: str) -> ScriptedWeb:
        return self.web(status(line, *headers))

    def _start(self, server: Kind) -> Kind:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        self._stack.callback(server.ended.set)
        return server


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Servers that misbehave on request: `servers.mail()`, `servers.web(answer)`."""
    with ExitStack() as stack:
        yield Servers(stack)
