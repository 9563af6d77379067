"""Completeness: how many letters each source has, and where every one of them is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.completeness import ChannelState
from daemon.core.rights import Right, UserAccess
from daemon.monitoring.completeness import Completeness, completeness
from daemon.page.context import Page, page_of, require
from daemon.page.problems_of_user import sees_all
from daemon.page.wording import N_
from daemon.store import ChannelAccount

_SHOWN = 200
_WORST_FIRST = (
    ChannelState.SHORT,
    ChannelState.UNASKED,
    ChannelState.FAILING,
    ChannelState.STALE,
    ChannelState.PENDING,
    ChannelState.COMPLETE,
    ChannelState.CLOSED,
    ChannelState.ENDED,
)
STATES: Mapping[ChannelState, str] = {
    ChannelState.SHORT: N_("letters cannot be explained"),
    ChannelState.UNASKED: N_("could not be asked"),
    ChannelState.FAILING: N_("letters could not be fetched"),
    ChannelState.STALE: N_("last asked more than two days ago"),
    ChannelState.PENDING: N_("not compared yet"),
    ChannelState.COMPLETE: N_("all is here or explained"),
    ChannelState.CLOSED: N_("without a right to read"),
    ChannelState.ENDED: N_("not read any more"),
}
PLACES: Mapping[str, str] = {
    "here": N_("Here"),
    "deleted": N_("Deleted by the rules of keeping"),
    "waiting": N_("Confidential, left in Altinn"),
    "gone": N_("Removed before they could be fetched"),
    "duplicate": N_("Here under another id"),
    "older": N_("Older than the first reading"),
    "failing": N_("Could not be fetched yet"),
    "unexplained": N_("Cannot be explained"),
}


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/completeness", show)]


def show(request: Request) -> Response:
    """Show the numbers of every channel, those that need attention first."""
    page, user = page_of(request), require(request, Right.OPERATE)
    names = [each.name for each in page.configuration.mailboxes]
    mine = [
        each
        for each in page.store.completeness.channels(page.clock(), names)
        if _is_shown(user, each.bookmark.party)
    ]
    return page.render(
        request,
        "completeness/completeness.html",
        whole=completeness_for(page, user),
        channels=list(islice(sorted(mine, key=_badness), _SHOWN)),
        more=max(0, len(mine) - _SHOWN),
        state_words=STATES,
        place_words=PLACES,
    )


def completeness_for(page: Page, user: UserAccess) -> Completeness | None:
    """Return how complete what the user operates is; None for those who operate some of it.

    A letter that is missing has no recipient yet, so the numbers are for those who operate all of
    an organisation. Raises StoreError.
    """
    found = completeness(page.configuration, page.store, page.clock(), partial(_is_shown, user))
    return found if found.channels or found.never_asked else None


def _is_shown(user: UserAccess, party: str) -> bool:
    return sees_all(user) or user.may_with(Right.OPERATE, party, ())


def _badness(each: ChannelAccount) -> tuple[int, str, str, str]:
    place = _WORST_FIRST.index(each.state)
    return place, each.bookmark.party, each.bookmark.service, each.bookmark.resource
