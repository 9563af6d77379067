"""A limit on the calls of each client, as Altinn's gateway is going to have.

All parties and all processes of one Maskinporten client share it; several windows count at once. It
is off, as it is at Altinn today. Source: Altinn/dialogporten issue 4349.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from datetime import datetime, timedelta

from connectors.sandbox.altinn3.tokens import Tokens, bearer_text
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import Request, Response


class RateLimit:
    """Counts the calls of each client. May be used from any thread."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self.windows: tuple[tuple[int, timedelta], ...] = ()
        """How many calls a client may make in how long; may be set while it runs."""
        self.refused = 0
        self._tokens, self._clock = tokens, clock
        self._lock = threading.Lock()
        self._calls: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def refusal(self, request: Request) -> Response | None:
        """Count a call; return the refusal if it is one too many."""
        if not self.windows:
            return None
        text = bearer_text(request.headers.get("authorization"))
        bearer = self._tokens.read(text) if text else None
        client = str(bearer.claims.get("client_id")) if bearer else ""
        now = self._clock.now()
        with self._lock:
            calls = self._calls[client]
            while calls and now - calls[0] > max(length for _, length in self.windows):
                calls.popleft()
            wait = max(self._wait(calls, now, most, length) for most, length in self.windows)
            if wait:
                self.refused += 1
                return _too_many(wait)
            calls.append(now)
            return None

    def _wait(self, calls: deque[datetime], now: datetime, most: int, length: timedelta) -> int:
        within = [each for each in calls if now - each < length]
        if len(within) < most:
            return 0
        left = within[len(within) - most] + length - now
        return max(1, round(left.total_seconds() + 0.5))


def _too_many(seconds: int) -> Response:
    body = {
        "statusCode": 429,
        "message": f"Rate limit is exceeded. Try again in {seconds} seconds.",
    }
    headers = (("Content-Type", "application/json"), ("Retry-After", str(seconds)))
    return Response(status=429, body=json.dumps(body).encode(), headers=headers)
