"""The base of the loopback servers: each serves for the length of a block, and can go down.

While it is down, connections are refused.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from connectors.sandbox.http_server import LoopbackServer


class Peer:
    """Base of the simulated Altinns and of the sinks that speak HTTP.

    Subclasses set `_server`.
    """

    _server: LoopbackServer

    def go_down(self) -> None:
        """Refuse connections, and drop those that are open."""
        self._server.stop()

    def come_up(self) -> None:
        """Serve again, on the same port."""
        self._server.start()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop(keep_port=False)
