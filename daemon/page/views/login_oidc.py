"""Log in through the organisation's OpenID Connect provider."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.errors import NotFound
from daemon.page.context import address_of, page_of
from daemon.page.guard.oidc import LoginRefused, ProvenIdentity, Provider
from daemon.page.guard.pending_logins import VALID
from daemon.page.guard.provider_users import admitted
from daemon.page.guard.signed_in import safe_next
from daemon.page.views.login import (
    begin_session,
    login_form,
    note_refusal,
    only_looks,
    refused_to_try,
)
from daemon.store.login_throttle import login_keys

PENDING = "__Host-postmottak-login"
_log = structlog.get_logger(__name__)


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/login/oidc", leave, methods=["GET"]),
        Route("/login/oidc/callback", come_back, methods=["GET"]),
    ]


async def leave(request: Request) -> Response:
    """Lead to the provider."""
    page, provider = page_of(request), _provider(request)
    asked = safe_next(request.query_params.get("next", "/"))
    if only_looks(request):
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    if too_often := await run_in_threadpool(_too_often, request, asked):
        return too_often
    try:
        answer, data = await provider.begin(request)
    except LoginRefused as error:
        return await run_in_threadpool(_refuse, request, "provider", "", error)
    kept = {"page": data, "next": asked}
    token = await run_in_threadpool(page.pending_logins.keep, kept, page.clock())
    answer.set_cookie(
        PENDING,
        token,
        max_age=int(VALID.total_seconds()),
        secure=True,
        httponly=True,
        samesite="lax",  # the provider leads back from another site
        path="/",
    )
    return answer


async def come_back(request: Request) -> Response:
    """Begin a session for whom the provider names; what it says can be used once."""
    page, provider = page_of(request), _provider(request)
    if only_looks(request):
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    token = request.cookies.get(PENDING, "")
    pending = await run_in_threadpool(page.pending_logins.take, token, page.clock())
    if pending is None:
        if too_often := await run_in_threadpool(_too_often, request, "/"):
            return too_often
        error = LoginRefused("no log-in was begun in this browser in the last 10 minutes")
        return await run_in_threadpool(_refuse, request, "provider", "", error)
    try:
        identity = await provider.finish(request, pending["page"])
    except LoginRefused as error:
        return await run_in_threadpool(_refuse, request, "provider", "", error)
    return await run_in_threadpool(_let_in, request, identity, pending["next"])


def _let_in(request: Request, identity: ProvenIdentity, asked: str) -> Response:
    page = page_of(request)
    try:
        name = admitted(page.store.users, identity, page.clock(), address_of(request))
        answer = begin_session(request, name, asked)
    except LoginRefused as error:
        return _refuse(request, "no-access", identity.name, error)
    except NotFound:  # was disabled meanwhile
        return _refuse(request, "no-access", identity.name, LoginRefused("the user is disabled"))
    answer.delete_cookie(PENDING, secure=True, httponly=True, samesite="lax", path="/")
    return answer


def _provider(request: Request) -> Provider:
    """Return the provider. Raises 404 where there is none."""
    if provider := page_of(request).provider:
        return provider
    raise HTTPException(HTTPStatus.NOT_FOUND)


def _too_often(request: Request, asked: str) -> Response | None:
    _, place = login_keys("", address_of(request))
    return refused_to_try(request, [place], "", asked)


def _refuse(request: Request, fault: str, name: str, error: LoginRefused) -> Response:
    _log.warning("a log-in by the provider was refused", reason=str(error))
    note_refusal(request, "login-by-oidc", name, why=str(error))
    answer = login_form(request, "/", HTTPStatus.FORBIDDEN, fault=fault)
    answer.delete_cookie(PENDING, secure=True, httponly=True, samesite="lax", path="/")
    return answer
