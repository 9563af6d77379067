"""How everything is, found out once for all who ask within some seconds.

With thousands of channels and waiting letters it takes seconds of the processor, which letters need
too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from daemon.monitoring.health import Health

_KEPT = 10.0  # seconds
_SHARE = 20
"""It is kept for this multiple of what finding it out took."""
_LONGEST = 60.0  # seconds that it is kept
_PATIENCE = 3.0  # seconds to wait for another thread that is finding it out


class SharedHealth:
    """Keeps the last `Health` for a short time. May be used by several threads.

    An error is passed on and not kept. Times are of the monotonic clock.
    """

    def __init__(self) -> None:
        self._finding = threading.Lock()
        self._kept: tuple[Health, float] | None = None
        """The last one, and until when it may be used."""

    def recent(self, find: Callable[[], Health]) -> Health:
        """Return the kept one, or what `find` returns."""
        if kept := self._usable():
            return kept
        mine = self._finding.acquire(timeout=_PATIENCE)
        try:
            return self._usable() or self._keep(find)
        finally:
            if mine:
                self._finding.release()

    def renew(self, find: Callable[[], Health]) -> Health:
        """Return what `find` returns, and keep it for others."""
        mine = self._finding.acquire(timeout=_PATIENCE)
        try:
            return self._keep(find)
        finally:
            if mine:
                self._finding.release()

    def _usable(self) -> Health | None:
        kept = self._kept
        return kept[0] if kept and time.monotonic() < kept[1] else None

    def _keep(self, find: Callable[[], Health]) -> Health:
        began = time.monotonic()
        found = find()
        took = time.monotonic() - began
        self._kept = found, began + min(max(_KEPT, _SHARE * took), _LONGEST)
        return found
