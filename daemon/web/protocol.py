"""One connection to a web endpoint: uvicorn's own, with a time limit on all that a client can do.

uvicorn ends an idle connection after an answer, and no other: one that sends nothing, sends a head
byte by byte, or does not read what it asked for, stays for ever. Each endpoint checks all of its
connections ten times a second.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from daemon.web.framing import StrictConnection
from daemon.web.limits import Limits
from daemon.web.problem_details import members

_LARGEST_HEAD = 16384
# bytes in the kernel for each connection; by default it lets them grow to some megabytes
_SEND_BUFFER = 256 << 10
_WAITING = frozenset({h11.IDLE, h11.SEND_BODY})


class EndpointConfig(uvicorn.Config):
    """uvicorn's settings, with ours."""

    limits: Limits = Limits()


class EndpointProtocol(H11Protocol):
    """One connection. Its methods are called by the loop that serves it."""

    def __init__(
        self,
        config: EndpointConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._strict = StrictConnection(_LARGEST_HEAD, self._limits.body)
        self.conn = self._strict
        self._since = self.loop.time()
        self._blocked_since: float | None = None
        self._closing_since: float | None = None
        self._lingers_until: float | None = None
        self._discarded = 0

    @property
    def awaits_request(self) -> bool:
        """Whether the client has not sent a complete request yet."""
        return self._lingers_until is None and self.conn.their_state in _WAITING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As uvicorn does; above the limit, end a connection to make room."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._since = self.loop.time()
        _bound_send_buffer(transport.get_extra_info("socket"))
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """As uvicorn does, until the request was refused."""
        if self._lingers_until is None:
            super().data_received(data)
            return
        self._discarded += len(data)
        if self._discarded > self._limits.discarded:
            self.abort()

    def pause_writing(self) -> None:
        """As uvicorn does; the client has to read on in time."""
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """As uvicorn does."""
        self._blocked_since = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """As uvicorn does; the time for the next request begins."""
        self._since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not acceptable, and read no more from this connection.

        `msg` is uvicorn's, which says nothing useful.
        """
        del msg
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.abort()
                return
            # so that the application, which may be waiting for the rest of the body, ends
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_refusal(HTTPStatus(self._strict.refusal)))
        self.flow.resume_reading()
        self.transport.write_eof()
        self._lingers_until = self.loop.time() + self._limits.lingering

    def end_if_overdue(self, now: float) -> None:
        """End the connection if the client has exceeded a time limit. `now` is the loop's time."""
        if self._is_overdue(now):
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self.connections.discard(self)
        self.transport.abort()

    def _is_overdue(self, now: float) -> bool:
        if self._lingers_until is not None:
            return now > self._lingers_until
        if self._blocked_since is not None:
            return now - self._blocked_since > self._limits.stalled
        if self.transport.is_closing():  # which it does not end while the client does not read
            self._closing_since = self._closing_since or now
            return now - self._closing_since > self._limits.stalled
        return self.awaits_request and now - self._since > self._limits.request_within

    def _make_room(self) -> None:
        """End the connection that has waited longest for its request.

        If all have sent theirs, end this one, which has not.
        """
        others = [
            each
            for each in self.connections
            if isinstance(each, EndpointProtocol) and each is not self
        ]
        oldest = min(
            (each for each in others if each.awaits_request),
            key=lambda each: each._since,  # noqa: SLF001
            default=self,
        )  # ours
        oldest.abort()


def _bound_send_buffer(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


def _refusal(status: HTTPStatus) -> bytes:
    """Return a complete answer that ends the connection."""
    detail = (
        "the request is too long"
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        else "this is not a valid request"
    )
    body = json.dumps(members(status, detail)).encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: "
        f"application/problem+json\r\nContent-Length: {len(body)}\r\n"
    )
    return f"{head}Connection: close\r\n\r\n".encode() + body
