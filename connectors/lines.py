"""HTTP connections that are kept open between calls, each used by one call at a time.

A call looks at one connection only, the one that was used last, however many are open. What goes over it is h11's affair: it speaks
HTTP/1.1 without touching a socket, and takes no answer whose end is in doubt.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import h11

from connectors.wire import Limit, Wire, connect

_KEPT = 20.0  # seconds that a connection stays open unused
_LARGEST_HEAD = 100 * 1024


class Origin(NamedTuple):
    """Where a connection leads."""

    host: str
    port: int
    encrypted: bool


class Line:
    """HTTP over one connection. Raises OSError, h11.ProtocolError and TooSlow."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)

    def ask(self, method: str, target: str, headers: list[tuple[str, str]], content: bytes) -> h11.Response:
        """Send a request; the head of the answer, without those that only announce it."""
        request = (h11.Request(method=method, target=target, headers=headers), h11.Data(data=content), h11.EndOfMessage())
        self.wire.send(b"".join(self._http.send(each) or b"" for each in request))
        while isinstance(event := self._event(), h11.InformationalResponse):
            pass
        assert isinstance(event, h11.Response)  # where anything else came first, h11 has raised
        return event

    def body(self) -> Iterator[bytes]:
        """The body of the answer, in pieces as they come."""
        while isinstance(event := self._event(), h11.Data):
            yield event.data

    def make_ready(self) -> bool:
        """Whether another call may follow, as this one was read to its end and nothing came after that."""
        ready = self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE} and not self._http.trailing_data[0]
        if ready:
            self._http.start_next_cycle()
        return ready

    def _event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self.wire.receive())
        return event


class Lines:
    """Connections, by where they lead to. May be used from several threads.

    Opening one takes `connect` seconds at most, each operation on it `step`.
    """

    def __init__(self, tls: ssl.SSLContext, *, connect: float, step: float) -> None:
        self._tls = tls
        self._connect = connect
        self._step = step
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[tuple[float, Line]]] = {}
        """Since when each is unused, by the monotonic clock; the one that was used last comes last."""

    @contextmanager
    def line(self, origin: Origin, limit: Limit) -> Iterator[Line]:
        """A connection for one call under `limit`; afterwards it is kept for the next one, if that can use it.

        Raises Unreachable, TimeoutError and TooSlow.
        """
        line = self._kept(origin) or self._new(origin, limit)
        line.wire.limit = limit
        try:
            yield line
        except BaseException:
            line.wire.close()
            raise
        if line.make_ready():
            self._keep(origin, line)
        else:
            line.wire.close()

    def close(self) -> None:
        """Close those that nobody uses. May be called twice; another call opens them again."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for kept in idle.values():
            for _, line in kept:
                line.wire.close()

    def _kept(self, origin: Origin) -> Line | None:
        """The one that was used last, so that those that are too many grow old; never one that the other side has closed."""
        while True:
            with self._lock:
                kept = self._idle.get(origin)
                since, line = kept.pop() if kept else (0.0, None)
            if line is None or (time.monotonic() - since <= _KEPT and not line.wire.is_readable()):
                return line
            line.wire.close()

    def _keep(self, origin: Origin, line: Line) -> None:
        now = time.monotonic()
        with self._lock:
            kept = self._idle.setdefault(origin, [])
            kept.append((now, line))
            old = sum(since < now - _KEPT for since, _ in kept)
            too_old, kept[:old] = kept[:old], []
        for _, each in too_old:
            each.wire.close()

    def _new(self, origin: Origin, limit: Limit) -> Line:
        tls = self._tls if origin.encrypted else None
        return Line(Wire(connect(origin.host, origin.port, tls, seconds=self._connect, limit=limit), self._step, limit))
