"""The user's own page: what they may do, where they are logged in, and their password."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.page.context import (
    Page,
    address_of,
    back_to,
    named_by_proxy,
    note_too_many,
    page_of,
    user_of,
)
from daemon.page.guard.passwords import Weakness, weakness
from daemon.page.guard.signed_in import COOKIE
from daemon.page.views.login import begin_session
from daemon.page.wording import N_
from daemon.store.login_throttle import login_keys
from daemon.store.login_tokens import token_id
from daemon.store.users import Actor

ROLES: Mapping[str, str] = {
    "reader": N_("Reader"),
    "receiver": N_("Receiver"),
    "router": N_("Router"),
    "operator": N_("Operator"),
    "admin": N_("Administrator"),
    "confidential": N_("Confidential letters"),
}
FAULTS: Mapping[str, str] = {
    "old": N_("The old password is wrong."),
    "differ": N_("The two new passwords differ."),
    "wait": N_("Too many attempts. Wait a little and try again."),
    Weakness.SHORT: N_("The new password is too short. Use at least 12 characters."),
    Weakness.LONG: N_("The new password is too long. Use at most 1000 characters."),
    Weakness.UNIFORM: N_("The new password has too few different characters."),
    Weakness.NAME: N_("The new password has your name in it."),
    Weakness.COMMON: N_("The new password is easy to guess. Use four words, for example."),
}
"""What is wrong with a new password."""


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/my", show),
        Route("/my/sessions/end", end_session, methods=["POST"]),
        Route("/my/sessions/end-others", end_others, methods=["POST"]),
        Route("/my/password", change_password, methods=["POST"]),
    ]


def show(request: Request) -> Response:
    """Show the user's roles and sessions, and the form for the password."""
    return _shown(request)


def _shown(request: Request, status: HTTPStatus = HTTPStatus.OK, *, fault: str = "") -> Response:
    page, name = page_of(request), user_of(request).name
    account = page.store.users.get(name)
    return page.render(
        request,
        "my/my.html",
        status,
        grants=page.store.users.grants(name),
        sessions=page.store.sessions.of(name, page.clock()),
        current=token_id(request.cookies.get(COOKIE, "")),
        proxied=named_by_proxy(request) is not None,
        has_password=account.password_hash is not None and "local" in page.settings.login,
        role_words=ROLES,
        fault=FAULTS.get(fault, ""),
    )


async def end_session(request: Request) -> Response:
    """End one of the user's sessions."""
    async with request.form(max_files=0, max_fields=2) as form:
        session_id = str(form.get("session", ""))
    return await run_in_threadpool(_end_session, request, session_id)


def _end_session(request: Request, session_id: str) -> Response:
    page = page_of(request)
    if page.store.sessions.end_one(user_of(request).name, session_id):
        page.note(request, "sessions-ended", details={"sessions": 1})
    return back_to("/my?notice=ended")


def end_others(request: Request) -> Response:
    """End all of the user's sessions but this one."""
    page = page_of(request)
    ended = page.store.sessions.end_others(user_of(request).name, request.cookies.get(COOKIE, ""))
    page.note(request, "sessions-ended", details={"sessions": ended})
    return back_to("/my?notice=ended")


async def change_password(request: Request) -> Response:
    """Set the user's password, if they know the old one, and end their other sessions."""
    async with request.form(max_files=0, max_fields=4) as form:
        old, new, again = (str(form.get(each, "")) for each in ("old", "new", "again"))
    return await run_in_threadpool(_change_password, request, old, new, again)


def _change_password(request: Request, old: str, new: str, again: str) -> Response:
    page, name = page_of(request), user_of(request).name
    wait = page.store.login_throttle.wait(login_keys(name, address_of(request)), page.clock())
    if wait:
        if wait.is_first:
            note_too_many(request)
        answer = _shown(request, HTTPStatus.TOO_MANY_REQUESTS, fault="wait")
        answer.headers["Retry-After"] = str(wait.seconds)
        return answer
    if not page.passwords.verify(page.store.users.get(name).password_hash, old):
        page.note(request, "password-set", about=name, done=False)
        return _shown(request, HTTPStatus.FORBIDDEN, fault="old")
    fault = "differ" if new != again else weakness(new, name)
    if fault:
        return _shown(request, HTTPStatus.UNPROCESSABLE_ENTITY, fault=fault)
    _set_password(page, name, new, address_of(request))
    return begin_session(request, name, "/my?notice=saved")


def _set_password(page: Page, name: str, password: str, address: str) -> None:
    hashed = page.passwords.hash(password, name)
    by = Actor(name=name, address=address)
    page.store.users.set_password_hash(name, hashed, page.clock(), by)
