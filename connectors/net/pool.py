"""Sets of connections that stay open between calls, each used by one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.core.proxies import Proxies

if TYPE_CHECKING:
    from connectors.net.transfers import Transfers

_KEPT = 20.0  # seconds that connections stay open unused


class TransferPool:
    """Lends `Transfers` with their connections. May be used from several threads.

    `ca_file` is trusted in addition to the system's authorities; opening a connection takes
    `connect` seconds at most, each wait for the server `step`. libcurl is not touched before the
    first call, so that the service can fork.
    """

    def __init__(
        self, *, ca_file: Path | None, proxies: Proxies, connect: float, step: float
    ) -> None:
        self._ca_file = ca_file
        self._proxies = proxies
        self._connect = connect
        self._step = step
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Transfers]] = []
        """The unused ones, each with the time it was returned (monotonic); the last used last."""

    @contextmanager
    def lend(self) -> Iterator[Transfers]:
        """Lend what was used last, so that surplus connections time out.

        What is still in flight at the end is broken off. Raises OSError if the authorities' files
        cannot be read.
        """
        lent = self._kept() or self._new()
        try:
            yield lent
        finally:
            if lent.active:
                lent.close()
            else:
                self._keep(lent)

    def close(self) -> None:
        """Close the unused connections. May be called twice; another call opens them again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, each in idle:
            each.close()

    def _kept(self) -> Transfers | None:
        with self._lock:
            return self._idle.pop()[1] if self._idle else None

    def _keep(self, used: Transfers) -> None:
        now = time.monotonic()
        with self._lock:
            self._idle.append((now, used))
            old = sum(since < now - _KEPT for since, _ in self._idle)
            too_old, self._idle[:old] = self._idle[:old], []
        for _, each in too_old:
            each.close()

    def _new(self) -> Transfers:
        from connectors.net.curl_handles import read_trust
        from connectors.net.transfers import Transfers

        trust = read_trust(self._ca_file)
        return Transfers(trust, self._proxies, connect=self._connect, step=self._step)
