"""A pool of HTTP connections that stay open between calls, each used by one call at a time.

A call checks only one connection, the last used, however many are open.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from connectors.net.http_connection import HttpConnection
from connectors.net.limits import Limit, LimitedSocket, connect

_KEPT = 20.0  # seconds that a connection stays open unused


class Origin(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int
    encrypted: bool


class ConnectionPool:
    """Connections, by where they lead. May be used from several threads.

    Opening one takes `connect` seconds at most, each operation on it `step`.
    """

    def __init__(self, tls: ssl.SSLContext, *, connect: float, step: float) -> None:
        self._tls = tls
        self._connect = connect
        self._step = step
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[tuple[float, HttpConnection]]] = {}
        """The unused connections, each with the time it was returned (monotonic); the last used
        comes last.
        """

    @contextmanager
    def line(self, origin: Origin, limit: Limit) -> Iterator[HttpConnection]:
        """Lend a connection for one call under `limit`.

        Afterwards it is kept for the next call if it can be reused. Raises Unreachable,
        TimeoutError and TransferTooSlow.
        """
        line = self._kept(origin) or self._new(origin, limit)
        line.wire.limit = limit
        try:
            yield line
        except BaseException:
            line.wire.close()
            raise
        if line.is_ready:
            self._keep(origin, line)
        else:
            line.wire.close()

    def close(self) -> None:
        """Close the unused connections. May be called twice; another call opens them again."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for _, line in kept:
                line.wire.close()

    def _kept(self, origin: Origin) -> HttpConnection | None:
        """Return the connection that was used last, so that surplus ones time out.

        Never one that the server has closed.
        """
        while True:
            with self._lock:
                kept = self._idle.get(origin)
                since, line = kept.pop() if kept else (0.0, None)
            if line is None or (time.monotonic() - since <= _KEPT and not line.wire.is_readable()):
                return line
            line.wire.close()

    def _keep(self, origin: Origin, line: HttpConnection) -> None:
        now = time.monotonic()
        with self._lock:
            kept = self._idle.setdefault(origin, [])
            kept.append((now, line))
            old = sum(since < now - _KEPT for since, _ in kept)
            too_old, kept[:old] = kept[:old], []
        for _, each in too_old:
            each.wire.close()

    def _new(self, origin: Origin, limit: Limit) -> HttpConnection:
        tls = self._tls if origin.encrypted else None
        return HttpConnection(
            LimitedSocket(
                connect(origin.host, origin.port, tls, seconds=self._connect, limit=limit),
                self._step,
                limit,
            )
        )
