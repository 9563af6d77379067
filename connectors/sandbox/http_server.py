"""A small HTTP/1.1 server on loopback that can also misbehave: reset, cut short, or slow down.

All HTTP servers of the sandbox use it. One thread for each connection; a head and its body leave in
one send.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from connectors.sandbox.clock import Clock

_LOOPBACK = "127.0.0.1"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as received.

    Names of headers are in lower case; a repeated header is joined with commas.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A body of `length` bytes that is never in memory as a whole.

    Sent chunked, or with its length announced.
    """

    chunks: Iterable[bytes]
    length: int
    chunked: bool = True


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a response is sent. The default is correctly."""

    reset: bool = False
    """A TCP reset is sent in place of the response."""
    cut_after: int | None = None
    """The connection ends after this many bytes of the body; the rest never comes."""
    seconds_per_byte: float = 0.0
    """The body comes a byte at a time."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response."""

    status: int
    body: bytes | Stream = b""
    headers: tuple[tuple[str, str], ...] = ()
    manner: Manner = field(default_factory=Manner)


Answer = Callable[[Request], Response]
"""Answers one request; called from many threads at a time."""


class LoopbackServer:
    """Serves `answer` on 127.0.0.1 until it is stopped.

    May be started again, and has the same port then.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.answer = answer
        self.tls = tls
        self.clock = clock or Clock()
        self.stopping = threading.Event()
        self._placeholder: socket.socket | None = _bound(port)
        self.port: int = self._placeholder.getsockname()[1]
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"{'https' if self.tls else 'http'}://{_LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Listen; returns when connections are accepted."""
        if self._server:
            return
        self.stopping = threading.Event()
        self._server = _Server(self)
        self._release_port()
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(0.02,),
            name=f"sandbox-{self.port}",
            daemon=True,
        )
        self._thread.start()

    def stop(self, *, keep_port: bool = True) -> None:
        """Refuse connections and drop the open ones. May be called twice."""
        server, self._server = self._server, None
        self.stopping.set()
        if server and self._thread:
            server.shutdown()
            self._thread.join()
            server.server_close()
            server.drop_connections()
        if keep_port and not self._placeholder:
            self._placeholder = _bound(self.port)
        elif not keep_port:
            self._release_port()

    def _release_port(self) -> None:
        if self._placeholder:
            self._placeholder.close()
            self._placeholder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(keep_port=False)


def _bound(port: int) -> socket.socket:
    """Return a socket that holds a port without listening on it.

    Connections are refused, and no other process gets the port.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((_LOOPBACK, port))
    except OSError:
        holder.close()
        raise
    return holder


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, owner: LoopbackServer) -> None:
        self.owner = owner
        self._connections: set[Any] = set()
        self._lock = threading.Lock()
        super().__init__((_LOOPBACK, owner.port), _Handler)

    def server_bind(self) -> None:
        # The base class looks up the host's name here, which may take seconds and is used for
        # nothing.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        if self.owner.tls:
            # The handshake happens at the first read, in the connection's own thread.
            connection = self.owner.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show the sandbox's own faults; a client that disconnects is not one."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the sandbox has its own list of calls."""

    def _serve(self) -> None:
        length = self._body_length()
        if length is None:
            self.close_connection = True
            self._send(Response(status=411))
            return
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=query,
            headers=self._headers(),
            body=self.rfile.read(length),
        )
        self._send(self._answer(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _body_length(self) -> int | None:
        if "transfer-encoding" in self.headers:
            return None
        text = self.headers.get("content-length", "0")
        return int(text) if text.isascii() and text.isdigit() else None

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for key, value in self.headers.items():
            name = key.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def _answer(self, request: Request) -> Response:
        try:
            return self.server.owner.answer(request)

        except Exception:  # noqa: BLE001
            traceback.print_exc()
            return Response(status=500)

    def _send(self, response: Response) -> None:
        manner = response.manner
        if manner.reset:
            self._reset()
            return
        if manner.cut_after is not None or manner.seconds_per_byte:
            self._send_badly(response)
        elif isinstance(response.body, bytes):
            self.connection.sendall(self._head(response) + response.body)
        else:
            self._send_stream(response, response.body)

    def _send_stream(self, response: Response, stream: Stream) -> None:
        self.connection.sendall(self._head(response))
        for chunk in stream.chunks:
            self.connection.sendall(_chunk(chunk) if stream.chunked else chunk)
        if stream.chunked:
            self.connection.sendall(b"0\r\n\r\n")

    def _send_badly(self, response: Response) -> None:
        """Send what `manner` allows of the body, then end the connection abruptly."""
        self.close_connection = True
        self.connection.sendall(self._head(response))
        chunked = isinstance(response.body, Stream) and response.body.chunked
        pause = response.manner.seconds_per_byte
        for piece in _pieces(response, 1 if pause else 65536):
            if pause and self.server.owner.stopping.wait(pause):
                return
            self.connection.sendall(_chunk(piece) if chunked else piece)
        if chunked and response.manner.cut_after is None:
            self.connection.sendall(b"0\r\n\r\n")

    def _head(self, response: Response) -> bytes:
        lines = [
            f"HTTP/1.1 {response.status} {_phrase(response.status)}",
            f"Date: {_http_date(self.server.owner.clock.now())}",
        ]
        lines += [f"{name}: {value}" for name, value in response.headers]
        lines.append(_framing(response.body))
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.rfile.close()
        self.connection.close()


def _pieces(response: Response, size: int) -> Iterable[bytes]:
    """Yield the body in pieces of at most `size` bytes, as far as `manner` allows."""
    left = response.manner.cut_after
    chunks = [response.body] if isinstance(response.body, bytes) else response.body.chunks
    for chunk in chunks:
        allowed = chunk if left is None else chunk[:left]
        for start in range(0, len(allowed), size):
            yield allowed[start : start + size]
        if left is not None:
            left -= len(allowed)
            if not left:
                return


def _chunk(data: bytes) -> bytes:
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _framing(body: bytes | Stream) -> str:
    if isinstance(body, bytes):
        return f"Content-Length: {len(body)}"
    return "Transfer-Encoding: chunked" if body.chunked else f"Content-Length: {body.length}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
