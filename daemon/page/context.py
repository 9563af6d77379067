"""What every view of the page works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from daemon.config.loader import Configuration
from daemon.config.web import WebSettings
from daemon.core.rights import Right, UserAccess
from daemon.monitoring.passages import SharedPassageTimes
from daemon.page.edited_files import EditedFiles
from daemon.page.editing.workshop import Workshop
from daemon.page.guard.oidc import Provider
from daemon.page.guard.passwords import Passwords
from daemon.page.guard.pending_logins import PendingLogins
from daemon.page.guard.proxy import ProxyLogin, visitor_address
from daemon.page.guard.signed_in import ACKNOWLEDGE, is_calendar
from daemon.page.search.desk import DeadlineDesk
from daemon.page.search.finder import LetterFinder
from daemon.page.search.following import Follower
from daemon.page.search.index import SearchIndex
from daemon.page.store_file import StoreFile
from daemon.page.templating import Templates
from daemon.store import PendingLoginRows, Store
from daemon.store.content import ContentStore

_BEFORE_SECRETS = ("/login/link/", ACKNOWLEDGE)
"""Addresses whose rest is a secret; those of calendars are too."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page's parts. May be used from several threads."""

    configuration: Configuration
    settings: WebSettings
    store: Store
    store_file: StoreFile
    content: ContentStore
    index: SearchIndex
    follower: Follower
    finder: LetterFinder
    passwords: Passwords
    provider: Provider | None
    """Through which users log in, if `oidc` is configured."""
    pending_logins: PendingLogins | PendingLoginRows
    proxy: ProxyLogin
    templates: Templates
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    """Makes the service look for what was asked, at once. Never raises."""
    edited: EditedFiles
    is_stopped: Callable[[], bool]
    """Whether the service is not running, as far as can be seen. Costs nothing; never raises."""
    workshop: Workshop = field(init=False)
    """What the routing pages work with."""
    desk: DeadlineDesk = field(init=False)
    """The open deadlines."""
    passages: SharedPassageTimes = field(init=False)
    """How long letters take, as it was found in the last ten minutes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "passages", SharedPassageTimes(self.store, self.clock))
        object.__setattr__(self, "desk", DeadlineDesk(self.index, self.clock))
        workshop = Workshop.open(self.configuration, self.store, self.clock)
        object.__setattr__(self, "workshop", workshop)  # the page is frozen

    def render(
        self,
        request: Request,
        name: str,
        status: HTTPStatus = HTTPStatus.OK,
        /,
        **values: Any,  # what the template needs
    ) -> Response:
        """Return a template as an answer, in the visitor's language."""
        shown: Mapping[str, Any] = {
            "path": request.url.path,
            "user": request.state.user,
            "scheme": request.cookies.get("scheme", "auto"),
            "notice": request.query_params.get("notice", ""),
            "asks_approval": self.configuration.routing.approvals > 0,
            "is_stopped": request.state.user is not None and self.is_stopped(),
            **values,
        }
        text = self.templates.render(name, request.state.language, shown)
        return HTMLResponse(text, status, headers={"Content-Language": request.state.language})

    def note(
        self,
        request: Request,
        kind: str,
        *,
        message_id: UUID | None = None,
        about: str = "",
        done: bool = True,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an event of this request's user. Raises StoreError."""
        self.store.events.add(
            self.clock(),
            kind=kind,
            user=user_of(request).name,
            address=address_of(request),
            message_id=message_id,
            about=about,
            done=done,
            details=details,
        )


def page_of(request: Request) -> Page:
    """Return the page's parts."""
    return cast("Page", request.app.state.page)


def user_of(request: Request) -> UserAccess:
    """Return who has logged in. Only for addresses that need a log-in."""
    return cast("UserAccess", request.state.user)


def named_by_proxy(request: Request) -> str | None:
    """Return the user whom the reverse proxy names, as it does; None if it names nobody."""
    return cast("str | None", request.state.named)


def address_of(request: Request) -> str:
    """Return the address from which a request came, also behind a proxy; empty if unknown."""
    return visitor_address(page_of(request).settings, request.headers, request.client)


def require(request: Request, right: Right, *, about: str = "") -> UserAccess:
    """Return the user, who has the right; otherwise record the refusal and raise 403."""
    user = user_of(request)
    if not user.may(right):
        page_of(request).note(
            request,
            "refused",
            about=about or request.url.path,
            done=False,
            details={"right": right.value},
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, right.value)
    return user


def sees_titles(request: Request) -> bool:
    """Whether titles are shown: not to operators who may not open letters, if it is set so."""
    return page_of(request).settings.operators_see_titles or user_of(request).may(Right.OPEN)


def back_to(path: str) -> Response:
    """Return an answer that leads on after a change, by GET."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def note_too_many(request: Request) -> None:
    """Record that the user asked too often. Call it for the first refusal of a row only."""
    page_of(request).note(
        request,
        "refused",
        about=logged_path(request),
        done=False,
        details={"why": "too many requests"},
    )


def logged_path(request: Request) -> str:
    """Return the address that was asked for, without the secret that some have in it."""
    path = request.url.path
    if is_calendar(path):
        return "/deadlines/….ics"
    secret = next((each for each in _BEFORE_SECRETS if path.startswith(each)), None)
    return f"{secret}…" if secret else path
