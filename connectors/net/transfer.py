"""One attempt at a call: what is sent, what has come of it so far, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.net.limits import Deadline, MinimumRate, Silence
from connectors.net.proxy_problem import NEEDS_LOGIN, ProxyProblem
from connectors.net.response_head import ProtocolError, ResponseHead, read_head
from daemon.core.proxies import Proxy

_ENDS_OF_HEADS = frozenset({b"\r\n", b"\n"})
_MOST_LINES = 2000  # of head and trailers together; libcurl limits the length of each


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """A request."""

    method: str
    """`GET` or `POST`."""
    url: str
    headers: Mapping[str, str]
    content: bytes = b""

    @property
    def host(self) -> str:
        """The server's name, with the port if there is one."""
        return self.url.partition("://")[2].partition("/")[0].partition("?")[0]

    def lines(self) -> list[str]:
        """Return the headers for libcurl, without those that it would add itself.

        Raises ProtocolError for anything in the request that would end a line too early.
        """
        lines = [f"{name}: {value}" for name, value in self.headers.items()]
        text = "".join((self.url, *lines))
        if not (text.isascii() and text.isprintable()) or " " in self.url:
            raise ProtocolError
        return ["Accept-Encoding: identity", "Content-Type:", "Expect:", *lines]


class BodyTooLarge(Exception):
    """The body is larger than the caller accepts."""


class Transfer:
    """A request in flight, and its response. For one thread.

    `waited` is always a count of the seconds that were spent on waiting for servers.
    """

    def __init__(
        self, request: HttpRequest, proxy: Proxy | None, deadline: Deadline, silence: Silence
    ) -> None:
        self.request = request
        self.proxy = proxy
        self.fault: Exception | None = None
        """Why the response is incomplete or missing; set before it has ended."""
        self.ended = False
        self.head: ResponseHead | None = None
        """The head of the response, when it has come."""
        self.largest: int | None = None
        """The most bytes that the body may have; None for any number."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._deadline: Deadline | None = deadline
        self._silence = silence
        self._rate: MinimumRate | None = None

    def require_head(self) -> ResponseHead:
        """Return the head. Raises the fault, and ProxyProblem if a proxy wants a log-in."""
        if self.head is None:
            raise self.fault or ProtocolError()
        if self.proxy and self.head.status == NEEDS_LOGIN:
            raise ProxyProblem.refused(self.proxy, self.head.status)
        return self.head

    def take(self) -> list[bytes]:
        """Return the pieces of the body that have come since. Raises the fault."""
        if self.fault:
            raise self.fault
        taken, self._pieces = self._pieces, []
        return taken

    def require_rate(self, lowest: float, window: float, waited: float) -> None:
        """Drop the deadline, and require a lowest rate of the body instead."""
        self._deadline = None
        self._rate = MinimumRate(lowest, window, waited)

    def check(self, now: float, waited: float) -> float:
        """Return in how many seconds to check again. Raises TransferTooSlow and TimeoutError."""
        left = self._silence.left(waited)
        if self._deadline:
            left = min(left, self._deadline.left(now))
        if self._rate:
            left = min(left, self._rate.left(waited))
        return left

    def heard(self, lines: list[bytes], pieces: list[bytes], waited: float) -> None:
        """Take what has come: the lines of heads and trailers so far, and new pieces of the body.

        Raises ProtocolError and BodyTooLarge.
        """
        self._silence.heard(waited)
        if self.head is None and (pieces or lines[-1] in _ENDS_OF_HEADS):
            self.head = read_head(b"".join(lines))
        if len(lines) > _MOST_LINES or (self.head is None and pieces):
            raise ProtocolError
        size = sum(map(len, pieces))
        self._pieces += pieces
        self._size += size
        if self._rate:
            self._rate.received(size)
        if self.largest is not None and self._size > self.largest:
            raise BodyTooLarge
