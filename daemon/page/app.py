"""The page as an application: its addresses, and what guards them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from daemon.core.errors import (
    ContentUnavailable,
    DiskFull,
    JournalKeyMissing,
    NotFound,
    StoreBusy,
    StoreUnreachable,
)
from daemon.core.rights import UserAccess
from daemon.page.assets import Assets
from daemon.page.context import Page, logged_path, named_by_proxy, note_too_many, page_of
from daemon.page.guard.body_size import BodySize
from daemon.page.guard.failures import Failures
from daemon.page.guard.headers import SafeHeaders
from daemon.page.guard.origin import OwnOrigin
from daemon.page.guard.request_rate import Excess, RequestRate
from daemon.page.guard.signed_in import COOKIE, SignedIn
from daemon.page.search.index import SearchFault, SearchTooSlow
from daemon.page.views import (
    acknowledge_link,
    acknowledgements,
    admin,
    clients,
    completeness,
    confidential,
    coverage,
    deadlines,
    deliveries,
    delivery_actions,
    evidence,
    handover,
    letter,
    letters,
    login,
    login_oidc,
    moving,
    my,
    overview,
    preferences,
    routing,
    service,
    times,
)
from daemon.page.views import (
    help as help_pages,
)

_log = structlog.get_logger(__name__)
_RETRY_AFTER = "5"  # seconds
_PASSING: Mapping[type[Exception], str] = {
    StoreBusy: "busy",
    DiskFull: "full",
    ContentUnavailable: "content",
    JournalKeyMissing: "key",
    StoreUnreachable: "away",
    SearchTooSlow: "slow",
    SearchFault: "search",
}
"""What is over when its cause is; the more special kind comes before the more general."""


def application(page: Page, assets: Assets) -> Starlette:
    """Return the page as an ASGI application."""
    routes: list[BaseRoute] = [
        *login.routes(),
        *login_oidc.routes(),
        *my.routes(),
        *overview.routes(),
        *letters.routes(),
        *confidential.routes(),
        *letter.routes(),
        *acknowledgements.routes(),
        *evidence.routes(),
        *deadlines.routes(),
        *moving.routes(),
        *acknowledge_link.routes(),
        *preferences.routes(),
        *help_pages.routes(),
        *delivery_actions.routes(),
        *deliveries.routes(),
        *service.routes(),
        *clients.routes(),
        *completeness.routes(),
        *coverage.routes(),
        *times.routes(),
        *admin.routes(),
        *handover.routes(),
        *routing.routes(),
        assets.mount(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(SafeHeaders, encrypted=page.settings.url.startswith("https:")),
            Middleware(Failures, answer=_answer),
            Middleware(BodySize),
            Middleware(OwnOrigin, settings=page.settings, proxy=page.proxy),
            Middleware(SignedIn, find_user=partial(_user, page)),
            Middleware(RequestRate, clock=page.clock, refuse=_too_many),
        ],
        exception_handlers={HTTPException: _answer},
    )
    app.state.page = page
    return app


def _user(page: Page, request: Request) -> UserAccess | None:
    """Return the user whom the proxy names, or that of the session whose cookie a request has."""
    page.store_file.check()
    if named := named_by_proxy(request):
        return page.store.users.access(named)
    token = request.cookies.get(COOKIE, "")
    name = page.store.sessions.find(token, page.clock()) if token else None
    return page.store.users.access(name) if name else None


def _too_many(request: Request, excess: Excess) -> Response:
    if excess.is_first and request.state.user is not None:
        note_too_many(request)
    answer = _problem(request, HTTPStatus.TOO_MANY_REQUESTS)
    answer.headers["Retry-After"] = str(excess.seconds)
    return answer


def _answer(request: Request, error: Exception) -> Response:
    """Return the page that says what failed, and what helps."""
    if isinstance(error, HTTPException):
        answer = _problem(request, HTTPStatus(error.status_code), error.detail)
        answer.headers.update(error.headers or {})  # of 405, what is allowed
        return answer
    if isinstance(error, NotFound):
        return _problem(request, HTTPStatus.NOT_FOUND)
    if isinstance(error, ClientDisconnect):  # nobody reads the answer
        return _problem(request, HTTPStatus.BAD_REQUEST)
    for kind, detail in _PASSING.items():
        if isinstance(error, kind):
            _log.warning("a page could not be shown", page=logged_path(request), reason=str(error))
            answer = _problem(request, HTTPStatus.SERVICE_UNAVAILABLE, detail)
            answer.headers["Retry-After"] = _RETRY_AFTER
            return answer
    number = secrets.token_hex(4)
    _log.error("a page failed", page=logged_path(request), number=number, exc_info=error)
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, number)


def _problem(request: Request, status: HTTPStatus, detail: str = "") -> Response:
    return page_of(request).render(
        request, "base/problem.html", status, status=int(status), detail=detail
    )
