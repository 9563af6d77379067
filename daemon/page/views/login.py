"""Log in and out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.accounts import User, known_as
from daemon.core.errors import NotFound
from daemon.page.context import Page, address_of, back_to, named_by_proxy, page_of
from daemon.page.guard.signed_in import COOKIE, safe_next
from daemon.store.login_throttle import login_keys

_LONGEST = 512  # characters of a name or a password
_SHOWN = 100  # characters of a name that there may not be


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/login", show),
        Route("/login", log_in, methods=["POST"]),
        Route("/login/link/{token}", follow_link),
        Route("/logout", log_out, methods=["POST"]),
    ]


def show(request: Request) -> Response:
    """Show the form."""
    if request.state.user:
        return back_to("/")
    asked = request.query_params.get("next", "/")
    if named := named_by_proxy(request):
        return _unknown_here(request, named, asked)
    return login_form(request, asked)


def _unknown_here(request: Request, named: str, asked: str) -> Response:
    """Refuse a user whom the proxy names, and who does not exist here or is disabled."""
    keys = login_keys(named, address_of(request))
    if too_often := refused_to_try(request, keys, named, asked):
        return too_often
    note_refusal(request, "login-by-proxy", named)
    return login_form(request, asked, HTTPStatus.FORBIDDEN, fault="no-access")


async def log_in(request: Request) -> Response:
    """Begin a session for a name and a password."""
    async with request.form(max_files=0, max_fields=5) as form:
        name, password, asked = (str(form.get(each, "")) for each in ("name", "password", "next"))
    return await run_in_threadpool(_log_in, request, name, password, asked)


def _log_in(request: Request, name: str, password: str, asked: str) -> Response:
    page = page_of(request)
    if "local" not in page.settings.login:
        return login_form(request, asked, HTTPStatus.FORBIDDEN, fault="closed")
    user = page.store.users.find(name) if len(name) <= _LONGEST else None
    known = user.name if user else known_as(name)
    if too_often := refused_to_try(request, login_keys(known, address_of(request)), known, asked):
        return too_often
    if len(password) <= _LONGEST and _fits(page, user, password):
        with suppress(NotFound):  # was disabled meanwhile
            return begin_session(request, known, safe_next(asked))
    note_refusal(request, "login", known)
    return login_form(request, asked, HTTPStatus.UNAUTHORIZED, fault="wrong")


def _fits(page: Page, user: User | None, password: str) -> bool:
    """Whether the password is that of an active user. Takes as long for an unknown one."""
    usable = user is not None and user.disabled_at is None
    return page.passwords.verify(user.password_hash if user and usable else None, password)


def _printable(name: str) -> str:
    """Return what the log of events shows of a name that somebody typed."""
    return "".join(filter(str.isprintable, name))[:_SHOWN]


def follow_link(request: Request) -> Response:
    """Begin a session by a link that `postmottak web login-link` printed; it works once.

    A program that only looks at the link, or a browser that fetches it before it is followed, does
    not use it up.
    """
    if only_looks(request):
        return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    page = page_of(request)
    name = page.store.login_links.take(request.path_params["token"], page.clock())
    if name:
        with suppress(NotFound):  # was disabled meanwhile
            return begin_session(request, name, "/")
    # only wrong links are counted: none is guessed, but they must not fill the log
    _, place = login_keys("", address_of(request))
    if too_often := refused_to_try(request, [place], name or "", "/"):
        return too_often
    note_refusal(request, "login-by-link", name or "")
    return login_form(request, "/", HTTPStatus.FORBIDDEN, fault="link")


def only_looks(request: Request) -> bool:
    """Whether nobody has followed the address yet.

    Chromium sends `Sec-Purpose: prefetch` with what it loads ahead, `;prerender` may follow; Safari
    sends `Purpose`, and older Firefox `X-Moz`.
    """
    headers = (request.headers.get(each, "") for each in ("sec-purpose", "purpose", "x-moz"))
    return request.method == "HEAD" or any("prefetch" in each.lower() for each in headers)


def refused_to_try(request: Request, keys: Sequence[str], name: str, asked: str) -> Response | None:
    """Count an attempt to log in; return an answer if there were too many.

    The first one that is refused is an event.
    """
    page = page_of(request)
    wait = page.store.login_throttle.wait(keys, page.clock())
    if wait is None:
        return None
    if wait.is_first:
        note_refusal(request, "login", name, why="too many attempts")
    answer = login_form(
        request, asked, HTTPStatus.TOO_MANY_REQUESTS, fault="wait", wait=wait.seconds
    )
    answer.headers["Retry-After"] = str(wait.seconds)
    return answer


def begin_session(request: Request, name: str, then: str) -> Response:
    """Begin a session with an id of its own, and end the one that the browser had.

    Raises NotFound if the user does not exist or is disabled; then nothing has changed.
    """
    page, address, now = page_of(request), address_of(request), page_of(request).clock()
    token = page.store.sessions.begin(name, address, now)
    if old := request.cookies.get(COOKIE):
        page.store.sessions.end(old)
    page.store.events.add(now, kind="login", user=name, address=address)
    answer = back_to(then)
    answer.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="lax", path="/")
    return answer


def log_out(request: Request) -> Response:
    """End the session at the server, too. Who comes through the proxy has none to end."""
    page = page_of(request)
    if named_by_proxy(request):
        return page.render(request, "base/proxy.html")
    page.store.sessions.end(request.cookies.get(COOKIE, ""))
    page.note(request, "logout")
    answer = back_to("/login")
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")
    return answer


def login_form(
    request: Request,
    asked: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    fault: str = "",
    wait: int = 0,
) -> Response:
    """Return the page to log in on, with what went wrong."""
    page = page_of(request)
    return page.render(
        request,
        "base/login.html",
        status,
        next=safe_next(asked),
        fault=fault,
        wait=wait,
        login=page.settings.login,
    )


def note_refusal(request: Request, kind: str, name: str, *, why: str = "") -> None:
    """Record that somebody was not let in, under the name that they gave."""
    page = page_of(request)
    page.store.events.add(
        page.clock(),
        kind=kind,
        user=_printable(known_as(name)),
        address=address_of(request),
        done=False,
        details={"why": why} if why else None,
    )
