"""One pace for all calls of a client to a host: a token bucket, tightened by what the host refuses.

A server that limits calls counts them by client, over all mailboxes, threads and processes. So all
mailboxes of one client share a pacer in this process, and each process has its share of the pace.
Turns are given in the order in which they are asked for; as no mailbox has more than a few calls at
a time, none holds up another for long.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from daemon.core.pacing import PAUSES, PROCESSES, PaceNumbers

_LEAST = 0.1  # calls a second, however often the server refuses
_RECOVERY = 60.0  # seconds without a refusal after which the pace rises by a quarter
_RISE = 1.25
_DEFAULT_PAUSE = 5.0  # seconds after a refusal that does not say how long to wait
_WINDOW = 10.0  # seconds in which calls are counted, to know the pace that was too much
_SHARE = 0.1  # of the calls lately, from which on those that were refused are many
_SEVERAL = 3  # refused calls that set a pace where none is configured
_WORTH_TELLING = 1.0  # seconds by which a pause must be longer than what others know of
_NO_LIMIT = 1000.0  # calls a second, from which on a pace that is not configured is none any more


@dataclass
class _Window:
    """What happened since a moment."""

    began: float
    calls: int = 0
    refused: int = 0


class Pacer:
    """A token bucket of `rate` calls a second, and `burst` of them at once. From any thread.

    A rate of 0 is unlimited until the server refuses calls. `clock` counts seconds from any
    start.
    """

    def __init__(
        self,
        client: str,
        host: str,
        rate: float,
        burst: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._host = client, host
        self._configured = self._rate = rate or math.inf
        self._burst, self._clock = burst, clock
        self._lock = threading.Lock()
        self._free_at = -math.inf
        """When the bucket would have been empty; each call moves it by one interval."""
        self._closed_until = self._halved_until = clock()
        self._changed_at = clock()
        self._calls = self._refused = 0
        self._waited = 0.0
        self._window, self._before = _Window(clock()), _Window(clock())

    def limit(self, rate: float) -> None:
        """Share it with a mailbox that is configured for `rate`: the slowest one counts."""
        if not rate:
            return
        with self._lock:
            self._configured = min(self._configured, rate)
            self._rate = min(self._rate, self._configured)

    def reserve(self, url: str) -> float:
        """Take a turn for a call; returns the seconds until it comes. 0 for other hosts."""
        if urlsplit(url).netloc != self._host:
            return 0.0
        with self._lock:
            now = self._clock()
            self._rise(now)
            self._count(now)
            interval = PROCESSES.parts / self._rate
            self._free_at = max(self._free_at, now - self._burst * interval) + interval
            wait = max(0.0, self._free_at - now, self._closed_until - now)
            self._calls += 1
            self._waited += wait
            return wait

    def give_back(self, wait: float) -> None:
        """Return a turn that is not used, because it is too far away."""
        with self._lock:
            self._free_at -= PROCESSES.parts / self._rate
            self._calls -= 1
            self._waited -= wait

    def refused(self, url: str, retry_after: float | None) -> None:
        """Note that the server refused a call as one too many: all calls wait for a while.

        The pace is halved only if it refuses many. A few may have other reasons, and then calls
        wait no longer than the server says.
        """
        if urlsplit(url).netloc != self._host:
            return
        with self._lock:
            now, before = self._clock(), self._closed_until
            self._refused += 1
            self._window.refused += 1
            if self._are_many():
                self._tighten(now, _DEFAULT_PAUSE if retry_after is None else retry_after)
            elif retry_after is not None:
                self._close(now + retry_after)
            closed_until = self._closed_until
        if closed_until > max(before + _WORTH_TELLING, now):
            PAUSES.tell(self._host, self._client, closed_until - now)

    def close(self, seconds: float) -> None:
        """Make no call for so long, as another process was told."""
        with self._lock:
            self._close(self._clock() + seconds)

    def numbers(self) -> PaceNumbers:
        """Return the counts since the start."""
        with self._lock:
            return PaceNumbers(
                client=self._client,
                calls=self._calls,
                waited=self._waited,
                refused=self._refused,
                rate=self._rate,
            )

    def _rise(self, now: float) -> None:
        while self._rate < self._configured and now - self._changed_at >= _RECOVERY:
            self._rate = min(self._configured, self._rate * _RISE)
            if math.isinf(self._configured) and self._rate >= _NO_LIMIT:
                self._rate = math.inf
            self._changed_at += _RECOVERY

    def _are_many(self) -> bool:
        calls = self._window.calls + self._before.calls
        refused = self._window.refused + self._before.refused
        return refused >= (_SEVERAL if math.isinf(self._rate) else 1) and refused >= calls * _SHARE

    def _tighten(self, now: float, pause: float) -> None:
        if now >= self._halved_until:  # calls that were in flight count as one refusal
            observed = max(1.0, self._observed(now) * PROCESSES.parts)
            too_much = observed if math.isinf(self._rate) else self._rate
            self._rate = max(_LEAST, too_much / 2)
        self._close(now + pause)
        self._halved_until = self._changed_at = self._closed_until

    def _close(self, until: float) -> None:
        self._closed_until = max(self._closed_until, until)
        self._free_at = max(self._free_at, self._closed_until)

    def _count(self, now: float) -> None:
        if now - self._window.began >= _WINDOW:
            lately = now - self._window.began < 2 * _WINDOW
            self._before = self._window if lately else _Window(now)
            self._window = _Window(now)
        self._window.calls += 1

    def _observed(self, now: float) -> float:
        """Return how many calls a second were made lately."""
        began = self._before.began if self._before.calls else self._window.began
        return (self._before.calls + self._window.calls) / max(1.0, now - began)


class Pacers:
    """The pacers of this process, by client and host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pacers: dict[tuple[str, str], Pacer] = {}
        PAUSES.listeners.append(self.close)

    def of(self, client: str, url: str, rate: float) -> Pacer:
        """Return the pacer that all mailboxes of a client share at the host of `url`."""
        host = urlsplit(url).netloc
        with self._lock:
            pacer = self._pacers.get((client, host))
            if pacer is None:
                pacer = self._pacers[client, host] = Pacer(client, host, rate)
        pacer.limit(rate)
        return pacer

    def close(self, host: str, client: str, seconds: float) -> None:
        """Let a client make no calls to a host for so long, as another process was told."""
        with self._lock:
            pacer = self._pacers.get((client, host))
        if pacer:
            pacer.close(seconds)


PACERS = Pacers()
"""Of the whole process: whatever mailboxes it opens, they share their client's budget."""
