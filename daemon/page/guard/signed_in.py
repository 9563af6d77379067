"""Finds out who makes a request, and leads everybody else to the log-in."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.core.rights import UserAccess

COOKIE = "__Host-postmottak"
ACKNOWLEDGE = "/acknowledge/"
"""Where the links in mails lead; what follows is a secret."""
_OPEN = ("/login", "/static/", "/help", ACKNOWLEDGE)
_CALENDAR = re.compile(r"/deadlines/[^/]+\.ics")
"""Addresses that are secrets themselves, for programs without a session."""
FindUser = Callable[[Request], UserAccess | None]


class SignedIn:
    """Sets `request.state.user`."""

    def __init__(self, app: ASGIApp, *, find_user: FindUser) -> None:
        self._app, self._find_user = app, find_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or lead to the log-in."""
        if scope["type"] != "http" or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if is_calendar(scope["path"]):  # it is the same with and without a session
            request.state.user = None
            await self._app(scope, receive, send)
            return
        request.state.user = await run_in_threadpool(self._find_user, request)
        if request.state.user is None and not scope["path"].startswith(_OPEN):
            await _to_login(request)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def is_calendar(path: str) -> bool:
    """Whether an address is that of a calendar, which needs no log-in."""
    return _CALENDAR.fullmatch(path) is not None


def _to_login(request: Request) -> RedirectResponse:
    """Return an answer that leads to the log-in, and from there back to a page that was asked for.

    htmx must load the whole page, not put it into a part of the one that is shown.
    """
    whole = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = f"?next={quote(whole)}" if request.method == "GET" and whole != "/" else ""
    headers = {"HX-Redirect": f"/login{asked}"} if "hx-request" in request.headers else {}
    return RedirectResponse(f"/login{asked}", HTTPStatus.SEE_OTHER, headers)


def safe_next(path: str) -> str:
    """Return an address on this page, and the overview for any other."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else "/"
