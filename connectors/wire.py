"""The network under the calls to Altinn: httpcore's own, with a limit on the whole of a call.

A timeout for each read does not help against a server that drips a byte a second. So a thread names the limit of the call that it is
in, and every operation on a socket gets only as much time as that limit still allows, also on a connection that is used again.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpcore


class TooSlow(Exception):
    """The limit of a call is reached."""


class Limit(Protocol):
    """How long the operations of one call may take together; in seconds and bytes."""

    def left(self, asked: float | None) -> float | None:
        """The time for the next operation, if it would otherwise have `asked`. Raises TooSlow if there is none left."""

    def took(self, seconds: float, received: int) -> None:
        """Note an operation. Raises TooSlow."""


class Unlimited:
    """No limit but the one of each operation."""

    def left(self, asked: float | None) -> float | None:
        """What was asked for."""
        return asked

    def took(self, seconds: float, received: int) -> None:
        """Nothing to note."""


class Deadline:
    """The call ends `seconds` from now, however busy it is."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self, asked: float | None) -> float:
        """What is left, or less if less was asked for."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TooSlow(f"did not finish its answer in {self._seconds:g} seconds")
        return left if asked is None else min(asked, left)

    def took(self, seconds: float, received: int) -> None:
        """Nothing to note: the clock runs by itself."""


class Pace:
    """At least `lowest` bytes a second, measured anew after each `window` seconds of waiting for the other side.

    The time that the receiver takes for what it got is not counted.
    """

    def __init__(self, lowest: float, window: float) -> None:
        self._lowest = lowest
        self._window = window
        self._waited = 0.0
        self._received = 0

    def left(self, asked: float | None) -> float:
        """A whole window at most."""
        return self._window if asked is None else min(asked, self._window)

    def took(self, seconds: float, received: int) -> None:
        """Count, and judge at the end of a window."""
        self._waited += seconds
        self._received += received
        if self._waited < self._window:
            return
        if self._received < self._lowest * self._waited:
            raise TooSlow(f"sends less than {self._lowest:g} bytes a second")
        self._waited, self._received = 0.0, 0


class _Current(threading.local):
    """The limit of the call that the thread is in."""

    limit: Limit = Unlimited()


class Wire(httpcore.NetworkBackend):
    """Opens connections whose every operation obeys the limit of the thread that uses them."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()
        self._current = _Current()

    @contextmanager
    def limited(self, limit: Limit) -> Iterator[None]:
        """Put what this thread does on the network, until the block ends, under `limit`."""
        before, self._current.limit = self._current.limit, limit
        try:
            yield
        finally:
            self._current.limit = before

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, within the limit. Looking up the name is the resolver's own affair."""
        left = self._current.limit.left(timeout)
        return _Stream(self._backend.connect_tcp(host, port, left, local_address, socket_options), self._current)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, current: _Current) -> None:
        self._stream = stream
        self._current = current

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit = self._current.limit
        started = time.monotonic()
        data = self._stream.read(max_bytes, limit.left(timeout))
        limit.took(time.monotonic() - started, len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._current.limit.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._current.limit.left(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._current)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
