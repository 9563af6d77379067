"""Bounds how often a user may ask: a browser that runs wild must not hold up the others."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.page.guard.signed_in import COOKIE, is_calendar
from daemon.store.login_tokens import token_id

A_MINUTE = 1200
"""Requests of a session, without those for static files; and as many at once after a pause.

That is 20 a second, which neither people nor tests in a browser reach.
"""
_COSTLY = 2
"""What a search, a file or a change counts as: it takes longer than a page."""
_FILES = (".csv", ".ics", ".xlsx")
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Excess:
    """A request was one too many."""

    seconds: int
    """After which the next one is answered."""
    is_first: bool
    """Whether it is the first in a minute, so that not each fills the log."""


@dataclass
class _Bucket:
    left: float
    at: datetime
    told_at: datetime | None = None


class RequestRate:
    """Refuses what is too much. Sessions are told apart by their cookie, else by the user.

    Programs that read calendars have no session, and are counted by their address.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Callable[[], datetime],
        refuse: Callable[[Request, Excess], Response],
    ) -> None:
        self._app, self._clock, self._refuse = app, clock, refuse
        self._buckets: dict[str, _Bucket] = {}
        self._one = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or refuse."""
        request = Request(scope) if scope["type"] == "http" else None
        key = _asker(request) if request else ""
        if request and key and (excess := self._count(key, self._clock(), _cost(request))):
            answer = await run_in_threadpool(self._refuse, request, excess)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _count(self, key: str, now: datetime, cost: int) -> Excess | None:
        with self._one:
            self._forget(now)
            bucket = self._buckets.pop(key, None) or _Bucket(left=A_MINUTE, at=now)
            self._buckets[key] = bucket  # the one that was used last is last
            passed = max((now - bucket.at) / _MINUTE, 0)
            bucket.left, bucket.at = min(bucket.left + passed * A_MINUTE, A_MINUTE), now
            if bucket.left >= cost:
                bucket.left -= cost
                return None
            is_first = bucket.told_at is None or now - bucket.told_at >= _MINUTE
            bucket.told_at = now if is_first else bucket.told_at
            seconds = math.ceil((cost - bucket.left) * _MINUTE.total_seconds() / A_MINUTE)
            return Excess(seconds=seconds, is_first=is_first)

    def _forget(self, now: datetime) -> None:
        """Drop sessions that have not asked for a minute: they have all of it again."""
        while self._buckets:
            key = next(iter(self._buckets))
            if now - self._buckets[key].at < _MINUTE:
                return
            del self._buckets[key]


def _asker(request: Request) -> str:
    """Return whose requests are counted together; nothing where none are."""
    if user := request.scope.get("state", {}).get("user"):
        return f"{user.name} {token_id(request.cookies.get(COOKIE, ''))}"
    if is_calendar(request.url.path):
        return f"calendars {request.client.host if request.client else ''}"
    return ""


def _cost(request: Request) -> int:
    is_change = request.method not in {"GET", "HEAD"}
    is_costly = is_change or request.url.path.endswith(_FILES) or request.query_params.get("q")
    return _COSTLY if is_costly else 1
