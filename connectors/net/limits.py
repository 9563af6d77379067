"""Sockets for the calls to Altinn, with a limit on each call as a whole.

A timeout for each read does not help against a server that sends a byte a second. So a connection
has the limit of the call that uses it, and every operation on the socket gets only the time that
this limit still allows, also on a reused connection.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Protocol

_PIECE = 64 * 1024


class TransferTooSlow(Exception):
    """The limit of a call is reached."""


class Unreachable(Exception):
    """No connection could be made; its cause says why."""


class Limit(Protocol):
    """How long the operations of one call may take together; in seconds and bytes."""

    def left(self, asked: float) -> float:
        """Return the time for the next operation, at most `asked`.

        Raises TransferTooSlow if none is left.
        """

    def took(self, seconds: float, received: int) -> None:
        """Record an operation. Raises TransferTooSlow."""


class Deadline:
    """Ends the call `seconds` from now, however much data comes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self, asked: float) -> float:
        """Return the time that is left, at most `asked`."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TransferTooSlow(f"did not finish its answer in {self._seconds:g} seconds")
        return min(asked, left)

    def took(self, seconds: float, received: int) -> None:
        """Do nothing: the clock runs by itself."""


class MinimumRate:
    """Requires `lowest` bytes a second, measured over `window` seconds of waiting for the server.

    Time that the receiver spends on the data is not counted.
    """

    def __init__(self, lowest: float, window: float) -> None:
        self._lowest = lowest
        self._window = window
        self._waited = 0.0
        self._received = 0

    def left(self, asked: float) -> float:
        """Return a whole window at most."""
        return min(asked, self._window)

    def took(self, seconds: float, received: int) -> None:
        """Count the bytes, and check the rate at the end of a window."""
        self._waited += seconds
        self._received += received
        if self._waited < self._window:
            return
        if self._received < self._lowest * self._waited:
            raise TransferTooSlow(f"sends less than {self._lowest:g} bytes a second")
        self._waited, self._received = 0.0, 0


class LimitedSocket:
    """A connection whose operations obey `limit`, and take `step` seconds at most each.

    Raises OSError and TransferTooSlow.
    """

    def __init__(self, connected: socket.socket, step: float, limit: Limit) -> None:
        self._socket = connected
        self._step = step
        self.limit = limit
        """The limit of the call that uses the connection now."""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._allow_time()
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """Return data as soon as there is some.

        It is empty if the server has closed the connection.
        """
        self._allow_time()
        started = time.monotonic()
        data = self._socket.recv(_PIECE)
        self.limit.took(time.monotonic() - started, len(data))
        return data

    def is_readable(self) -> bool:
        """Return whether data has come, or the server has closed the connection."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close it. May be called twice."""
        self._socket.close()

    def _allow_time(self) -> None:
        left = self.limit.left(self._step)
        if (
            left != self._socket.gettimeout()
        ):  # usually it is a whole step again, and setting it again is a system call
            self._socket.settimeout(left)


def connect(
    host: str, port: int, tls: ssl.SSLContext | None, *, seconds: float, limit: Limit
) -> socket.socket:
    """Open a connection, encrypted if `tls` is given.

    The time for resolving the name is the resolver's own. Raises Unreachable, TimeoutError and
    TransferTooSlow.
    """
    try:
        plain = socket.create_connection((host, port), limit.left(seconds))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(limit.left(seconds))
            return tls.wrap_socket(plain, server_hostname=host) if tls else plain
        except BaseException:
            plain.close()
            raise
    except TimeoutError:
        raise
    except OSError as error:
        raise Unreachable from error
