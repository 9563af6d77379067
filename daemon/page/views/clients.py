"""Which organisations have delegated their post, and which have not: `coverage --clients`."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.rights import Right
from daemon.monitoring.coverage import clients
from daemon.page.context import page_of, require
from daemon.page.problems_of_user import operates_party

ADDRESS = "/service/clients"
_A_PAGE = 100
_MOST_PAGES = 10_000


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route(ADDRESS, show)]


def show(request: Request) -> Response:
    """Show the organisations that the user operates, some at a time."""
    page, user = page_of(request), require(request, Right.OPERATE)
    every = clients(page.store, page.configuration.mailboxes)
    rows = [each for each in every if operates_party(user, each.party)]
    missing = [each for each in rows if each.is_missing]
    only_missing = request.query_params.get("missing") == "1"
    shown = missing if only_missing else rows
    number = _number(request.query_params.get("page", ""))
    start = (number - 1) * _A_PAGE
    return page.render(
        request,
        "service/clients.html",
        rows=shown[start : start + _A_PAGE],
        count=len({each.party for each in rows}),
        missing=len({each.party for each in missing}),
        unknown=len({each.party for each in rows if each.is_unknown}),
        only_missing=only_missing,
        previous=_address(number - 1, only_missing=only_missing) if number > 1 else "",
        next=_address(number + 1, only_missing=only_missing)
        if start + _A_PAGE < len(shown)
        else "",
    )


def _number(text: str) -> int:
    """Return the number of a page; of none that can be, the first."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_PAGES))
    return max(1, int(text)) if is_number else 1


def _address(number: int, *, only_missing: bool) -> str:
    chosen = {"missing": "1"} if only_missing else {}
    return f"{ADDRESS}?{urlencode({**chosen, 'page': number})}"
