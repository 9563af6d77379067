"""The desk: open deadlines by week, from the index of letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, page_of, require, sees_titles
from daemon.page.search.desk import GROUPS, LATEST_FIRST, DeskPart
from daemon.page.views.deadlines.shown import (
    GROUP_WORDS,
    ShownDeadline,
    confidential,
    group_shown,
    of_index,
)

_IN_GROUP, _ALONE = 25, 100  # lines
_LONGEST = 200  # characters of a recipient's name


@dataclass(frozen=True, kw_only=True)
class DeskSection:
    """A group of the desk: how many deadlines, and some of them."""

    name: str
    total: int
    lines: Sequence[ShownDeadline]
    after: str
    """Where the lines begin that are not shown; empty if all are."""


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/deadlines", show)]


def show(request: Request) -> Response:
    """Show the open deadlines of the letters that the user may see."""
    user, page = require(request, Right.LIST), page_of(request)
    fresh = page.follower.catch_up()
    recipient = request.query_params.get("recipient", "")[:_LONGEST]
    only = request.query_params.get("group", "")
    only = only if only in GROUPS else ""
    groups = _groups(request, page, user, recipient, only)
    return page.render(
        request,
        "deadlines/deadlines.html",
        fresh=fresh,
        now=page.clock(),
        groups=groups,
        total=sum(each.total for each in groups),
        only=only,
        recipient=recipient,
        recipients=page.desk.recipients(user.limits(Right.LIST)),
        shows_titles=sees_titles(request),
        group_words=GROUP_WORDS,
    )


def _groups(
    request: Request, page: Page, user: UserAccess, recipient: str, only: str
) -> list[DeskSection]:
    limits, now = user.limits(Right.LIST), page.clock()
    after = request.query_params.get("after") if only else None
    if only:
        parts = [page.desk.group(only, limits, after, _ALONE, recipient)]
    else:
        parts = page.desk.look(limits, _IN_GROUP, recipient)
    secret = confidential(page, user, recipient)
    return [
        _group(part, [each for each in secret if group_shown(each, now) == part.group], now, after)
        for part in parts
    ]


def _group(
    part: DeskPart, secret: Sequence[ShownDeadline], now: datetime, after: str | None
) -> DeskSection:
    """Return a group; confidential letters are on its first page."""
    lines = [*(secret if after is None else ()), *(of_index(each, now) for each in part.letters)]
    latest_first = part.group in LATEST_FIRST
    return DeskSection(
        name=part.group,
        total=part.total + len(secret),
        lines=sorted(lines, key=lambda each: each.due_at, reverse=latest_first),
        after=part.after or "",
    )
