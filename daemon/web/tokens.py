"""Who may use the pull API: clients that have the token.

Wrong tokens are counted, shown as a problem when they are many, and answered with a wait. The right
token is checked first, so that a client that guesses cannot lock out the program that has it.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

import structlog

from daemon.core.bookkeeping import WRONG_TOKEN
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems

_log = structlog.get_logger(__name__)
_MANY = 10  # wrong tokens within `_WINDOW`; a program with an old token is noticed as well
_WINDOW = 60.0  # seconds
_QUIET = 3600.0  # seconds without a wrong token after which the problem is over
_LINE_EVERY = 60.0  # seconds between log lines
_MANY_WRONG = Problem(
    kind=WRONG_TOKEN,
    about="the pull API",
    text=(
        f"The pull API is called repeatedly without the right token, {_MANY} times or more within "
        "a minute; see the log"
    ),
    critical=False,
)
WAIT = 60
"""Seconds that a client is asked to wait after one of many wrong tokens."""


class TokenVerdict(Enum):
    """The result of checking a token."""

    RIGHT = "right"
    WRONG = "wrong"
    TOO_MANY = "too many"
    """Wrong, and one of many."""


class TokenGuard:
    """Checks tokens; may be used from several threads. `clock` counts seconds from any start."""

    def __init__(
        self,
        token: str,
        problems: ServiceProblems | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token, self._clock = token.encode(), clock
        self._lock = threading.Lock()
        self._latest: deque[float] = deque(maxlen=_MANY)
        self._unlogged, self._logged_at = 0, -_LINE_EVERY
        self._many = False
        if problems:
            problems.follow(WRONG_TOKEN, self._current)
        self.wrong = 0
        """Calls without the right token since the start."""

    def judge(self, authorization: bytes) -> TokenVerdict:
        """Check the value of an Authorization header.

        This takes the same time however much the token has in common with the right one.
        """
        scheme, _, given = authorization.partition(b" ")
        right = hmac.compare_digest(given.strip(), self._token)
        if right and scheme.lower() == b"bearer":
            return TokenVerdict.RIGHT
        with self._lock:
            return self._note_wrong(self._clock())

    def _current(self) -> Sequence[Problem]:
        """Return the problem if there were many wrong tokens, the last of them recently."""
        with self._lock:
            if self._latest and self._clock() - self._latest[-1] > _QUIET:
                self._latest.clear()
                self._many = False
            return (_MANY_WRONG,) if self._many else ()

    def _note_wrong(self, now: float) -> TokenVerdict:
        self.wrong += 1
        self._unlogged += 1
        self._latest.append(now)
        if now - self._logged_at >= _LINE_EVERY:
            _log.warning(
                "calls of the pull API without the right token",
                calls=self._unlogged,
                since_start=self.wrong,
            )
            self._unlogged, self._logged_at = 0, now
        if len(self._latest) < _MANY or now - self._latest[0] > _WINDOW:
            return TokenVerdict.WRONG
        self._many = True
        return TokenVerdict.TOO_MANY
