"""HTTP/1.1 over one connection, one call after the other.

The bytes that come are read by llhttp, the parser of Node.js, which is strict unless it is told
otherwise; what it takes all the same, though programs may differ about where it ends, is refused
here.
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
    """What came is not an answer, or one whose end is in doubt.

    Or what was to be sent would be no request.
    """


class ResponseHead(NamedTuple):
    """How an answer begins."""

    status: int
    headers: Mapping[str, str]
    """By their lower-case names; of those that come twice, the last."""

    @property
    def lasts_to_the_end(self) -> bool:
        """Whether only the end of the connection ends the body, unless the status says that there is no body."""
        return not self.headers.keys() & {"content-length", "transfer-encoding"}


class HttpConnection:
    """A connection with what was read of it. Raises OSError, NotHttp and TooSlow."""

    def __init__(self, wire: LimitedSocket) -> None:
        self.wire = wire
        self._reader = _ResponseReader()
        self._without_end = 0
        """Bytes since the answer got on."""

    def ask(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], content: bytes
    ) -> ResponseHead:
        """Send a request; the head of the answer, without those that only announce it."""
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
        """The body of the answer, in pieces as they come."""
        while True:
            yield from self._reader.taken()
            if self._reader.ended:
                return
            self._receive()

    @property
    def is_ready(self) -> bool:
        """Whether another call may follow, as this one was read to its end and nothing came after that."""
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
    """Reads what comes over one connection; `on_...` are called by llhttp."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """An answer comes next."""
        self.head: ResponseHead | None = None
        self.ended = False
        self.reusable = False
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    @property
    def got_on(self) -> bool:
        """Whether there is more of the body, or its end."""
        return self.ended or bool(self._pieces)

    def taken(self) -> list[bytes]:
        """The pieces of the body that were not taken yet."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def read(self, data: bytes) -> None:
        """Go on with what came. Raises NotHttp."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.ended:
                raise ProtocolError from error
            self.reusable = False

    def end_with_connection(self) -> None:
        """The other side has ended the connection. Raises NotHttp if more should have come."""
        if self.head is None or not self.head.lasts_to_the_end:
            raise ProtocolError
        self.ended = True

    def on_message_begin(self) -> None:
        """Something comes: the answer, or after it something that was not asked for."""
        self.reusable = False
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header.

        Or, after the head, one of those that may follow the last chunk, which say nothing to us.
        """
        if self.head is None:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head of the answer, or of what only announces it."""
        status = self._parser.get_status_code()
        if self.head is None and (status == _SWITCHED or status not in _ANNOUNCEMENTS):
            self.head = ResponseHead(status, self._headers)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if not self.ended:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self.head is not None and not self.ended:
            self.ended = True
            self.reusable = self._parser.should_keep_alive()


def _request(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a request. Raises NotHttp for anything in it that would end a line too early."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if " " in target or any(_UNSAFE.search(line) for line in lines):
        raise ProtocolError
    return "\r\n".join([*lines, "", ""]).encode("ascii")
