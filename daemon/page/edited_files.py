"""What is wrong with the files as they are now, read again only when one of them has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from daemon.config.loader import Configuration
from daemon.core.errors import ConfigurationError, Fault
from daemon.core.times import norwegian_day
from daemon.service.stack import read_routing
from daemon.service.standing import configuration_faults


class EditedFiles:
    """The configuration and the routing table that it names. For several threads."""

    def __init__(self, configuration: Configuration, clock: Callable[[], datetime]) -> None:
        self._configuration, self._clock = configuration, clock
        self._files = (configuration.path, configuration.routing.file)
        self._lock = threading.Lock()
        self._seen: object = None
        self._faults: tuple[Fault, ...] = ()

    def faults(self) -> tuple[Fault, ...]:
        """Return the faults of both files; while there are any, the service keeps what it had."""
        # covers begin and end by the day
        seen = (norwegian_day(self._clock()), *map(_state, self._files))
        with self._lock:
            if seen != self._seen:
                self._seen, self._faults = seen, self._read()
            return self._faults

    def _read(self) -> tuple[Fault, ...]:
        found = configuration_faults(self._configuration.path)
        try:
            read_routing(self._configuration)
        except ConfigurationError as error:
            return (*found, *error.faults)
        return found


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file; None if it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
