"""Ends an HTTP exchange that takes too long as a whole: httpx only limits the wait for the next bytes, however few they are."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

_CONNECTED = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})


class ExchangeDeadline:
    """While it is entered, cuts the connection of one httpx request `seconds` after the start.

    Give its `extensions` to the request, which needs a connection of its own. A cut shows as an
    httpx.TransportError; `passed` tells. Looking up the name and connecting are not cut short, but
    limited by httpx's own timeout for each address; what comes after is.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self.extensions: dict[str, Any] = {"trace": self._watch}
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore at each step of the exchange, with the connection once there is one."""
        if event in _CONNECTED:
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                self._cut_if_passed()

    def _pass(self) -> None:
        with self._lock:
            self.passed = True
            self._cut_if_passed()

    def _cut_if_passed(self) -> None:
        """End the connection so that whoever reads from it wakes up.

        SSLSocket's own shutdown would take TLS away under the reader.
        """
        if self.passed and self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
