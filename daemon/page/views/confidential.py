"""Confidential post: what waits in Altinn, and what was fetched for the recipients of a route.

Without titles: a letter's title is shown when it is opened, which needs a reason and is an event.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.model import SightingState
from daemon.core.rights import Right
from daemon.page.context import page_of, require, user_of
from daemon.page.problems_of_user import own_sightings

_SHOWN = 200  # letters


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/confidential", show)]


def show(request: Request) -> Response:
    """Show what waits to operators, and what was fetched to those whom its route appoints."""
    user, page = user_of(request), page_of(request)
    if not user.may(Right.OPERATE):
        require(request, Right.CONFIDENTIAL)
    fetched = [
        each
        for each in page.store.confidential.newest(_SHOWN)
        if user.may_with(Right.CONFIDENTIAL, each.party, each.recipients)
    ]
    waiting = own_sightings(page, user, SightingState.WAITING)
    return page.render(
        request,
        "confidential/confidential.html",
        waiting=waiting[:_SHOWN],
        count=len(waiting),
        fetched=fetched,
    )
