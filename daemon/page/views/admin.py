"""Users and the log of events, for those who administer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.accounts import Event, EventKind
from daemon.core.rights import Right
from daemon.page.context import address_of, back_to, page_of, require
from daemon.page.values import number_of
from daemon.page.wording import N_
from daemon.store.users import Actor

_PAGE = 100  # events
ROLES: Mapping[str, str] = {
    "reader": N_("reader"),
    "receiver": N_("receiver"),
    "router": N_("router"),
    "operator": N_("operator"),
    "admin": N_("administrator"),
    "confidential": N_("may open confidential letters"),
}
EVENTS: Mapping[str, str] = {
    "login": N_("logged in"),
    "login-by-link": N_("logged in by a link"),
    "login-by-oidc": N_("logged in at the provider"),
    "login-by-proxy": N_("logged in by the proxy"),
    "logout": N_("logged out"),
    "refused": N_("asked for something without the right"),
    "letter-opened": N_("opened a letter"),
    "letter-acknowledged": N_("acknowledged a letter"),
    "letter-rejected": N_("rejected a letter"),
    "letter-moved": N_("moved a letter"),
    "deadline-confirmed": N_("confirmed a deadline"),
    "deadline-dropped": N_("recorded that nothing is due"),
    "deadline-handled": N_("marked a letter as handled"),
    "calendar-made": N_("made a calendar of deadlines"),
    "calendar-revoked": N_("revoked a calendar of deadlines"),
    "attachment-downloaded": N_("downloaded an attachment"),
    "letter-exported": N_("exported a confidential letter"),
    "evidence-exported": N_("exported the evidence of a letter"),
    "list-exported": N_("exported a list"),
    "deliveries-retried": N_("tried deliveries again"),
    "deliveries-held": N_("held deliveries back"),
    "deliveries-released": N_("released deliveries"),
    "deliveries-resent": N_("sent deliveries again"),
    "routing-draft-saved": N_("saved a draft of the routing table"),
    "routing-draft-discarded": N_("threw a draft of the routing table away"),
    "routing-published": N_("published the routing table"),
    "routing-approval-asked": N_("asked for approval of a routing table"),
    "routing-approval-declined": N_("declined a routing table"),
    "routing-approval-withdrawn": N_("withdrew a routing table"),
    "proposal-accepted": N_("took a proposed route into a draft"),
    "proposal-dismissed": N_("dismissed a proposed route for good"),
    "handed-over": N_("handed over what somebody held"),
    "user-added": N_("added a user"),
    "user-disabled": N_("shut a user out"),
    "user-enabled": N_("let a user in again"),
    "password-set": N_("set a password"),
    "rights-set": N_("changed the roles of a user"),
    "login-link-made": N_("made a log-in link"),
    "sessions-ended": N_("ended the sessions of a user"),
    "events-removed": N_("removed old events from this log"),
}
"""Kinds of events; one that is not here is shown as it is stored."""
_OF_USERS = frozenset(
    {*EventKind, "login", "login-by-link", "login-by-oidc", "login-by-proxy", "logout"}
    | {"sessions-ended"}
)
"""Kinds of events that are about users alone."""
DETAILS: Mapping[str, str] = {
    "count": N_("how many"),
    "left": N_("left as they were"),
    "state": N_("state"),
    "destination": N_("destination"),
    "reason": N_("reason"),
    "right": N_("right"),
    "sessions": N_("sessions"),
    "author": N_("author"),
    "to": N_("to"),
}
"""Details of events that say something to people; all are in the store."""


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/admin/users", users),
        Route("/admin/users/{name}/disable", disable, methods=["POST"]),
        Route("/admin/users/{name}/enable", enable, methods=["POST"]),
        Route("/admin/users/{name}/end-sessions", end_sessions, methods=["POST"]),
        Route("/admin/log", log),
    ]


def users(request: Request) -> Response:
    """Show every user with roles, limits and sessions."""
    require(request, Right.ADMINISTER)
    page = page_of(request)
    now = page.clock()
    shown = [
        {
            "user": each,
            "grants": page.store.users.grants(each.name),
            "sessions": page.store.sessions.of(each.name, now),
        }
        for each in page.store.users.all()
    ]
    return page.render(request, "admin/users.html", users=shown, role_words=ROLES)


def disable(request: Request) -> Response:
    """Shut a user out; the sessions end with it.

    Nobody does so to themselves: the last administrator could not be let in again on the page.
    """
    page, by = page_of(request), _actor(request)
    name = page.store.users.get(request.path_params["name"]).name
    if name == by.name:
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    page.store.users.disable(name, page.clock(), by)
    return back_to("/admin/users?notice=saved")


def enable(request: Request) -> Response:
    """Let a user in again."""
    page, by = page_of(request), _actor(request)
    page.store.users.enable(request.path_params["name"], page.clock(), by)
    return back_to("/admin/users?notice=saved")


def end_sessions(request: Request) -> Response:
    """Log a user out everywhere."""
    require(request, Right.ADMINISTER)
    page = page_of(request)
    name = page.store.users.get(request.path_params["name"]).name
    ended = page.store.sessions.end_all(name)
    page.note(request, "sessions-ended", about=name, details={"sessions": ended})
    return back_to("/admin/users?notice=saved")


def _actor(request: Request) -> Actor:
    user = require(request, Right.ADMINISTER)
    return Actor(name=user.name, address=address_of(request))


def log(request: Request) -> Response:
    """Show events, the newest first; all, or those of a kind, of a user, or that were refused.

    Those who administer within limits see what concerns users, and nothing that is about letters.
    """
    sees_all = require(request, Right.ADMINISTER).may_with_all(Right.ADMINISTER)
    page, asked = page_of(request), request.query_params
    wanted = {name: asked.get(name, "") for name in ("kind", "user", "result")}
    events = page.store.events.page(
        before=number_of(asked.get("before", "")) or None,
        limit=_PAGE,
        kind=wanted["kind"] or None,
        kinds=None if sees_all else _OF_USERS,
        user=wanted["user"] or None,
        done={"done": True, "refused": False}.get(wanted["result"]),
    )
    kept = {name: value for name, value in wanted.items() if value}
    older = {**kept, "before": events[-1].number} if len(events) == _PAGE else None
    return page.render(
        request,
        "admin/log.html",
        events=[{"event": each, "details": _details(each)} for each in events],
        wanted=wanted,
        names=[each.name for each in page.store.users.all()],
        event_words=EVENTS,
        detail_words=DETAILS,
        older=f"/admin/log?{urlencode(older)}" if older else "",
    )


def _details(event: Event) -> Sequence[tuple[str, str]]:
    return [
        (name, str(value))
        for name, value in event.details.items()
        if name in DETAILS and value not in ("", None, 0)
    ]
