"""Ends an HTTP exchange over httpx that takes too long as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.net.socket_deadline import SocketDeadline

_REACHED = "connection.connect_tcp.complete"
_THROUGH = "proxy.start_tls.started"
_CONNECTED = frozenset({_REACHED, "connection.start_tls.complete", "proxy.start_tls.complete"})


class ExchangeDeadline(SocketDeadline):
    """While entered, cuts the connection of one httpx request `seconds` after the start.

    Pass its `extensions` to the request, which needs a connection of its own. A cut shows as an
    httpx.TransportError. Resolving the name and connecting are not cut short, but limited by
    httpx's own timeout for each address; everything after that is.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.extensions: dict[str, Any] = {"trace": self._watch}
        self.reached = False
        """Whether something could be connected to: the server, or the proxy before it."""
        self.tunnelled = False
        """Whether a proxy has connected to the server; only for https."""

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Take the connection as soon as there is one; httpcore calls this at each step."""
        self.reached = self.reached or event == _REACHED
        self.tunnelled = self.tunnelled or event == _THROUGH
        if event in _CONNECTED:
            self.guard(info["return_value"].get_extra_info("socket"))
