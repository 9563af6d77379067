"""What is wrong with the running service itself, and with nothing that the store knows of.

It lasts until it is said to be over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from daemon.monitoring.problems import Problem


class ServiceProblems:
    """The problems of one service.

    All methods may be called from any thread, and return at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Problem] = {}

    def begin(self, trouble: Problem) -> bool:
        """Note a problem, which may be known already.

        Returns whether there is something new about it.
        """
        key = trouble.kind, trouble.about
        with self._lock:
            is_new = self._found.get(key) != trouble
            self._found[key] = trouble
        return is_new

    def end(self, kind: str, about: str) -> bool:
        """Note that it is over. Returns whether there was one."""
        with self._lock:
            return self._found.pop((kind, about), None) is not None

    def all(self) -> Sequence[Problem]:
        """Every problem there is."""
        with self._lock:
            return tuple(self._found.values())
