"""Connections that are kept open between calls, each used by one call at a time.

httpcore's own pool looks at every connection that it has, for each call; here a call looks at its own only.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore

_KEPT = 20.0  # seconds that a connection stays open unused


class Lines:
    """Connections, by where they lead to. May be used from several threads."""

    def __init__(self, ssl_context: ssl.SSLContext, network: httpcore.NetworkBackend) -> None:
        self._ssl_context = ssl_context
        self._network = network
        self._lock = threading.Lock()
        self._idle: dict[str, list[tuple[float, httpcore.HTTPConnection]]] = {}
        """By scheme, host and port. Since when each is unused, by the monotonic clock; the one that was used last comes last."""

    @contextmanager
    def line(self, origin: httpcore.Origin) -> Iterator[httpcore.HTTPConnection]:
        """A connection for one call, which opens it if it is new; afterwards it is kept for the next one, if that can use it."""
        connection = self._kept(origin) or self._new(origin)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.is_idle():
            self._keep(origin, connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close those that nobody uses. May be called twice; another call opens them again."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for _, connection in kept:
                connection.close()

    def _kept(self, origin: httpcore.Origin) -> httpcore.HTTPConnection | None:
        """The one that was used last, so that those that are too many grow old; never one that the other side has closed."""
        while True:
            with self._lock:
                kept = self._idle.get(str(origin))
                connection = kept.pop()[1] if kept else None
            if connection is None or not connection.has_expired():
                return connection
            connection.close()

    def _keep(self, origin: httpcore.Origin, connection: httpcore.HTTPConnection) -> None:
        now = time.monotonic()
        with self._lock:
            kept = self._idle.setdefault(str(origin), [])
            kept.append((now, connection))
            old = sum(since < now - _KEPT for since, _ in kept)
            too_old, kept[:old] = kept[:old], []
        for _, each in too_old:
            each.close()

    def _new(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        return httpcore.HTTPConnection(origin, self._ssl_context, keepalive_expiry=_KEPT, network_backend=self._network)
