"""Spares a host that is down: after some failures in a row it is left alone for a while, then tried with a single call.

The pauses grow, so that an outage costs a handful of calls; the longest is short enough that its
end is seen within one poll.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from daemon.core.errors import MailboxUnavailable

_FAILURES = 5
_FIRST_PAUSE = 30.0
_PATIENCE = 10.0


class HostUnavailable(MailboxUnavailable):
    """The application at a host gave no answer.

    Other calls to that host would fare no better now.
    """


class CircuitBreaker:
    """Guards the calls to one host, from any number of threads.

    Pauses are in seconds of `clock`, and never longer than `longest`.
    """

    def __init__(
        self, host: str, *, longest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._longest = longest
        self._clock = clock
        self._changed = threading.Condition()
        self._failures = 0
        self._pause = 0.0
        self._opens_at: float | None = None
        self._probing = False
        self._reason = ""

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call: whatever it raises counts as the host's failure.

        Raises HostAway, without entering the block, while the host is left alone. Where another
        thread is just trying whether the host is back, waits for what comes of it.
        """
        probe = self._enter()
        try:
            yield
        except BaseException as error:
            self._failed(probe, str(error))
            raise
        self._succeeded(probe)

    def record_failure(self, reason: str) -> None:
        """Count a failure of a call that had begun well."""
        self._failed(probe=False, reason=reason)

    def _enter(self) -> bool:
        """Whether the call that may now be made is the one that tries whether the host is back."""
        with self._changed:
            while self._opens_at is not None:
                left = self._opens_at - self._clock()
                if left > 0:
                    raise self._unavailable(left)
                if not self._probing:
                    self._probing = True
                    return True
                if not self._changed.wait(_PATIENCE):
                    raise self._unavailable(1)
            return False

    def _failed(self, probe: bool, reason: str) -> None:
        with self._changed:
            self._reason = reason
            if probe:
                self._probing = False
            if self._opens_at is None:
                self._failures += 1
                if self._failures >= _FAILURES:
                    self._open_for(_FIRST_PAUSE)
            elif probe:
                self._open_for(self._pause * 2)
            self._changed.notify_all()

    def _open_for(self, pause: float) -> None:
        self._pause = min(pause, self._longest)
        # jitter keeps no secret
        self._opens_at = self._clock() + self._pause * random.uniform(0.8, 1)  # noqa: S311

    def _succeeded(self, probe: bool) -> None:
        with self._changed:
            if probe:
                self._probing = False
            self._failures = 0
            self._opens_at = None
            self._changed.notify_all()

    def _unavailable(self, left: float) -> HostUnavailable:
        words = (
            f"{self._host} failed repeatedly, the last time because {self._reason}; it is tried "
            f"again in {max(1, round(left))} s"
        )
        return HostUnavailable(words, retry_after=timedelta(seconds=left))
