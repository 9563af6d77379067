"""Limits on a call as a whole.

A timeout for each wait does not help against a server that sends a byte a second, so a call also
has a deadline, and a body that may be long has a lowest rate instead. All of them are measured here
and not by libcurl, whose lowest rate is an average of some seconds that a server can outwit, and
which would count the time that the receiver spends on the data.
"""

from __future__ import annotations


class TransferTooSlow(Exception):
    """A limit of a call is reached."""


class Unreachable(Exception):
    """No connection could be made; its cause says why."""


class Deadline:
    """Ends the call at the time `ends` of a monotonic clock, `seconds` after it began."""

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self._ends = now + seconds

    def left(self, now: float) -> float:
        """Return how many seconds are left. Raises TransferTooSlow if none are."""
        left = self._ends - now
        if left <= 0:
            raise TransferTooSlow(f"did not finish its answer in {self._seconds:g} seconds")
        return left


class Silence:
    """Requires something to come every `step` seconds of waiting for the server."""

    def __init__(self, step: float, waited: float) -> None:
        self._step = step
        self._since = waited

    def heard(self, waited: float) -> None:
        """Note that something has come; `waited` counts the seconds of waiting."""
        self._since = waited

    def left(self, waited: float) -> float:
        """Return how long the server may be silent now. Raises TimeoutError."""
        left = self._step - (waited - self._since)
        if left <= 0:
            raise TimeoutError
        return left


class MinimumRate:
    """Requires `lowest` bytes a second, measured over `window` seconds of waiting for the server.

    Time that the receiver spends on the data is not counted.
    """

    def __init__(self, lowest: float, window: float, waited: float) -> None:
        self._lowest = lowest
        self._window = window
        self._began = waited
        self._received = 0

    def received(self, size: int) -> None:
        """Count bytes."""
        self._received += size

    def left(self, waited: float) -> float:
        """Return how long the window lasts; checks the rate at its end. Raises TransferTooSlow."""
        past = waited - self._began
        if past >= self._window:
            if self._received < self._lowest * past:
                raise TransferTooSlow(f"sends less than {self._lowest:g} bytes a second")
            self._began, self._received, past = waited, 0, 0.0
        return self._window - past
