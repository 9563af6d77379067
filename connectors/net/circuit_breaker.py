"""A circuit breaker: no calls to a host after repeated failures, and a probe after each pause.

The pauses grow, so that an outage costs few calls; the longest is short enough that the end of an
outage is noticed within one poll.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from daemon.core.backoff import Backoff
from daemon.core.circuit_breaker import FIRST_PAUSE, CircuitBreaker, CircuitState
from daemon.core.errors import MailboxUnavailable

_PATIENCE = 10.0  # seconds to wait for another thread's probe
_JITTER = 0.2
_START = datetime(2000, 1, 1, tzinfo=UTC)  # any moment: the clock counts seconds from anywhere


class HostUnavailable(MailboxUnavailable):
    """The application at a host did not respond.

    Other calls to that host would fare no better now.
    """


class HostGuard:
    """Guards the calls to one host with a circuit breaker, from any number of threads.

    Pauses are in seconds of `clock`, which must be monotonic, and never longer than `longest`.
    """

    def __init__(
        self, host: str, *, longest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._host = host
        self._clock = clock
        self._changed = threading.Condition()
        pauses = Backoff(FIRST_PAUSE, timedelta(seconds=longest), jitter=_JITTER)
        self._breaker = CircuitBreaker(backoff=pauses)
        self._probing = False
        self._reason = ""

    @contextmanager
    def call(self) -> Iterator[None]:
        """Guard one call: whatever the block raises counts as a failure of the host.

        While the circuit is open, raises HostUnavailable without entering the block. If another
        thread is probing the host, waits for the result.
        """
        probe = self._enter()
        try:
            yield
        except BaseException as error:
            self.failed(probe=probe, reason=str(error))
            raise
        self.succeeded(probe=probe)

    def try_enter(self) -> bool | None:
        """Begin a call without waiting; `failed` or `succeeded` must follow.

        Returns whether it is the probe of a half-open circuit, or None if another call is, and this
        one has to be tried later. Raises HostUnavailable while the circuit is open.
        """
        with self._changed:
            return self._admit()

    def record_failure(self, reason: str) -> None:
        """Count a failure of a call that had started successfully."""
        self.failed(probe=False, reason=reason)

    def _now(self) -> datetime:
        return _START + timedelta(seconds=self._clock())

    def _enter(self) -> bool:
        """Wait until a call may be made. Returns whether it is the probe of a half-open circuit."""
        with self._changed:
            while (probe := self._admit()) is None:
                if not self._changed.wait(_PATIENCE):
                    raise self._unavailable(timedelta(seconds=1))
            return probe

    def _admit(self) -> bool | None:
        if self._breaker.state(self._now()) is CircuitState.CLOSED:
            return False
        left = self._left()
        if left > timedelta():
            raise self._unavailable(left)
        if self._probing:
            return None
        self._probing = True
        return True

    def _left(self) -> timedelta:
        """Return for how many seconds no call is made; zero or less if one may be."""
        opens_at, now = self._breaker.open_until, self._now()
        return opens_at - now if opens_at else timedelta()

    def failed(self, *, probe: bool, reason: str) -> None:
        """End a call that failed."""
        with self._changed:
            self._reason = reason
            if probe:
                self._probing = False
            now = self._now()
            # Another call that ends while a probe is due or in flight had begun before the pause.
            if probe or self._breaker.state(now) is not CircuitState.HALF_OPEN:
                # jitter keeps no secret
                self._breaker.failed(now, random.random())  # noqa: S311
            self._changed.notify_all()

    def succeeded(self, *, probe: bool) -> None:
        """End a call that was answered."""
        with self._changed:
            if probe:
                self._probing = False
            self._breaker.succeeded()
            self._changed.notify_all()

    def _unavailable(self, left: timedelta) -> HostUnavailable:
        words = (
            f"{self._host} failed repeatedly, the last time because {self._reason}; it is "
            f"tried again in {max(1, round(left.total_seconds()))} s"
        )
        return HostUnavailable(words, retry_after=left)
