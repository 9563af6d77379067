"""Whether a connection that was kept can still be used.

libcurl does not look at a connection that was used within the last second. If the server has closed
it since, a request sent into it might or might not take effect; if something has come that nobody
asked for, it would be taken for the answer.
"""

from __future__ import annotations

import select

_MOST = 1000  # entries; those of connections that libcurl has closed are not missed
_NEVER_AGAIN = -1

Addresses = tuple[object, ...]
"""A connection's addresses and ports at both ends."""


class KeptSockets:
    """The sockets of connections that are kept, by their addresses."""

    def __init__(self) -> None:
        self._sockets: dict[Addresses, int] = {}

    def keep(self, addresses: Addresses, socket: int, *, spoilt: bool) -> None:
        """Note the connection of a call that is through, for one more call unless it is spoilt."""
        if len(self._sockets) >= _MOST:
            self._sockets.clear()
        self._sockets[addresses] = _NEVER_AGAIN if spoilt else socket

    def is_spoilt(self, addresses: Addresses) -> bool:
        """Return whether a connection that is about to be used again is closed, or has said more.

        A new one never is.
        """
        socket = self._sockets.pop(addresses, None)
        if socket is None:
            return False
        if socket == _NEVER_AGAIN:
            return True
        poll = select.poll()
        poll.register(socket, select.POLLIN)
        return bool(poll.poll(0))
