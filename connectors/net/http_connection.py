"""HTTP/1.1 over one connection, one call after the other.

Responses are parsed by llhttp, the parser of Node.js, which is strict by default. What it accepts
although programs may differ about where it ends is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from connectors.net.limits import LimitedSocket

_LARGEST_HEAD = 100 * 1024
_UNSAFE = re.compile(r"[^\t -~]")
_ANNOUNCEMENTS = range(100, 200)
_SWITCHED = 101


class ProtocolError(Exception):
    """What came is not a response, or its end is ambiguous.

    Or what was to be sent would not be a valid request.
    """


class ResponseHead(NamedTuple):
    """The head of a response."""

    status: int
    headers: Mapping[str, str]
    """By their lower-case names; of repeated ones, the last."""

    @property
    def lasts_to_the_end(self) -> bool:
        """Whether the body ends only with the connection, unless the status excludes a body."""
        return not self.headers.keys() & {"content-length", "transfer-encoding"}


class HttpConnection:
    """A connection and its parser. Raises OSError, ProtocolError and TransferTooSlow."""

    def __init__(self, wire: LimitedSocket) -> None:
        self.wire = wire
        self._reader = _ResponseReader()
        self._without_end = 0
        """Bytes received since the response last made progress."""

    def ask(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], content: bytes
    ) -> ResponseHead:
        """Send a request and return the head of the response; skips informational ones (1xx)."""
        self._reader.begin()
        self._without_end = 0
        self.wire.send(_request(method, target, headers) + content)
        while self._reader.head is None:
            self._receive()
        head = self._reader.head
        if (
            head.status == _SWITCHED
            or head.headers.get("transfer-encoding", "chunked").lower() != "chunked"
        ):
            raise ProtocolError
        return head

    def body(self) -> Iterator[bytes]:
        """Yield the body of the response, in pieces as they come."""
        while True:
            yield from self._reader.taken()
            if self._reader.ended:
                return
            self._receive()

    @property
    def is_ready(self) -> bool:
        """Whether another call may follow: this one was read to its end, and nothing came after."""
        return self._reader.reusable

    def _receive(self) -> None:
        data = self.wire.receive()
        if not data:
            self._reader.end_with_connection()
            return
        self._reader.read(data)
        self._without_end = 0 if self._reader.got_on else self._without_end + len(data)
        if (
            self._without_end > _LARGEST_HEAD
        ):  # a head, or what chunks may have before and after them
            raise ProtocolError


class _ResponseReader:
    """Parses what comes over one connection; `on_...` are called by llhttp."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Prepare for the next response."""
        self.head: ResponseHead | None = None
        self.ended = False
        self.reusable = False
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    @property
    def got_on(self) -> bool:
        """Whether more of the body has come, or its end."""
        return self.ended or bool(self._pieces)

    def taken(self) -> list[bytes]:
        """Return the pieces of the body that were not taken yet."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def read(self, data: bytes) -> None:
        """Parse what came. Raises ProtocolError."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.ended:
                raise ProtocolError from error
            self.reusable = False

    def end_with_connection(self) -> None:
        """Handle the end of the connection. Raises ProtocolError if the response is incomplete."""
        if self.head is None or not self.head.lasts_to_the_end:
            raise ProtocolError
        self.ended = True

    def on_message_begin(self) -> None:
        """Note that something begins: the response, or something unrequested after it."""
        self.reusable = False
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header.

        After the head these are trailers, which may follow the last chunk; they are ignored.
        """
        if self.head is None:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Take the head of the response, or of an informational one."""
        status = self._parser.get_status_code()
        if self.head is None and (status == _SWITCHED or status not in _ANNOUNCEMENTS):
            self.head = ResponseHead(status, self._headers)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if not self.ended:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Note that the response is complete."""
        if self.head is not None and not self.ended:
            self.ended = True
            self.reusable = self._parser.should_keep_alive()


def _request(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return the head of a request.

    Raises ProtocolError for anything in it that would end a line too early.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if " " in target or any(_UNSAFE.search(line) for line in lines):
        raise ProtocolError
    return "\r\n".join([*lines, "", ""]).encode("ascii")
