"""The list of letters: search, facets, and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from daemon.core.dpv import find_service
from daemon.core.printable import without_controls
from daemon.core.rights import Grant, Right
from daemon.core.times import in_norway, written
from daemon.page.context import Page, page_of, require, sees_titles
from daemon.page.search.finder import FoundLetter
from daemon.page.search.query import DueWhen, LetterQuery

_CSV_PAGE = 500  # letters
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings that a spreadsheet may run as a formula (OWASP, CSV Injection), also as wide signs."""
_COLUMNS = ("id", "received", "service", "sender", "sender_org", "party", "title", "due", "to")


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/letters", show), Route("/letters.csv", as_csv)]


def show(request: Request) -> Response:
    """Show the letters that are asked for and that the user may see."""
    limits = require(request, Right.LIST).limits(Right.LIST)
    page, query = page_of(request), LetterQuery.of(request.query_params)
    fresh = page.follower.catch_up()
    found = page.finder.look(query, limits, request.query_params.get("after"))
    parameters = query.parameters()
    return page.render(
        request,
        "letters/letters.html",
        query=query,
        found=found,
        fresh=fresh,
        shows_titles=sees_titles(request),
        dues=list(DueWhen),
        here=urlencode(parameters),
        next=urlencode({**parameters, "after": found.after}) if found.after else "",
    )


def as_csv(request: Request) -> Response:
    """Return the whole list for a spreadsheet: `;`, with a byte order mark, without formulas."""
    limits = require(request, Right.LIST).limits(Right.LIST)
    page, query = page_of(request), LetterQuery.of(request.query_params)
    page.follower.catch_up()
    page.note(request, "list-exported", about="letters.csv")
    return StreamingResponse(
        _lines(page, query, limits, shows_titles=sees_titles(request)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="letters.csv"'},
    )


def _lines(
    page: Page, query: LetterQuery, limits: Sequence[Grant], *, shows_titles: bool
) -> Iterator[str]:
    yield "\ufeff" + _line(_COLUMNS)
    after: str | None = None
    while True:
        some = page.finder.find(query, limits, after, _CSV_PAGE)
        for each in some:
            yield _line(_values(each, shows_titles=shows_titles))
        if len(some) < _CSV_PAGE:
            return
        after = some[-1].cursor


def _values(letter: FoundLetter, *, shows_titles: bool) -> Sequence[str]:
    service = find_service(letter.service)
    return (
        str(letter.id),
        written(in_norway(letter.fetched_at), "%Y-%m-%d %H:%M"),
        f"{letter.service} {service.nb}" if service else letter.service,
        letter.sender_name,
        letter.sender_org,
        letter.party,
        letter.title if shows_titles else "",
        written(in_norway(letter.due_at), "%Y-%m-%d") if letter.due_at else "",
        ", ".join((*letter.recipients, *letter.direct)),
    )


def _line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerow(map(_harmless, values))
    return text.getvalue()


def _harmless(value: str) -> str:
    """Return a value that no spreadsheet runs, in one line: an apostrophe makes it a text."""
    line = " ".join(without_controls(value).split())
    return f"'{line}" if line.startswith(_FORMULA) else line
