"""A receiver says of a letter when it wants an answer, that it wants none, or that it had one.

Who may acknowledge the letter may say it; of a confidential one, after it was opened.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.deadlines import end_of_written_day
from daemon.core.errors import OperatorError
from daemon.page.context import address_of, back_to, page_of, user_of
from daemon.page.secret_letters import is_secret
from daemon.page.views.acknowledgements import own_letter
from daemon.page.views.letter import OpenedLetter, show_opened, was_opened
from daemon.store.answers import LONGEST_NOTE
from daemon.store.users import Actor


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/letters/{id}/deadline", confirm, methods=["POST"]),
        Route("/letters/{id}/deadline/drop", drop, methods=["POST"]),
        Route("/letters/{id}/deadline/handled", handle, methods=["POST"]),
    ]


async def confirm(request: Request) -> Response:
    """Record the day by which the letter wants an answer; without one, the day that is known."""
    day, note = await _texts(request, "day", "note")
    return await run_in_threadpool(_confirm, request, day, note)


async def drop(request: Request) -> Response:
    """Record that nothing is due."""
    _, reason = await _texts(request, "day", "reason")
    return await run_in_threadpool(_drop, request, reason)


async def handle(request: Request) -> Response:
    """Record that what was due is done."""
    _, note = await _texts(request, "day", "note")
    return await run_in_threadpool(_handle, request, note)


async def _texts(request: Request, *names: str) -> list[str]:
    async with request.form(max_files=0, max_fields=3) as form:
        return [str(form.get(name, "")).strip()[:LONGEST_NOTE] for name in names]


def _confirm(request: Request, day: str, note: str) -> Response:
    found = own_letter(request)
    if answer := _unopened(request, found):
        return answer
    page, due_at = page_of(request), end_of_written_day(day)
    if day and due_at is None:
        return _refused(request, found)
    try:
        page.store.deadlines.confirm(found.message.id, *_who(request), due_at=due_at, note=note)
    except OperatorError:  # no day is known
        return _refused(request, found)
    return back_to(f"/letters/{found.message.id}?notice=deadline-confirmed")


def _drop(request: Request, reason: str) -> Response:
    found = own_letter(request)
    if answer := _unopened(request, found):
        return answer
    page_of(request).store.deadlines.drop(found.message.id, *_who(request), reason=reason)
    return back_to(f"/letters/{found.message.id}?notice=deadline-dropped")


def _handle(request: Request, note: str) -> Response:
    found = own_letter(request)
    if answer := _unopened(request, found):
        return answer
    try:
        page_of(request).store.deadlines.handle(found.message.id, *_who(request), note=note)
    except OperatorError:  # nobody has acknowledged it
        return show_opened(request, found, HTTPStatus.CONFLICT)
    return back_to(f"/letters/{found.message.id}?notice=deadline-handled")


def _unopened(request: Request, found: OpenedLetter) -> Response | None:
    """Return the question for the reason, if a confidential letter was not opened before."""
    message = found.message
    if not is_secret(message) or was_opened(request, message):
        return None
    return page_of(request).render(request, "letter/reason.html", message=message, fault=False)


def _refused(request: Request, found: OpenedLetter) -> Response:
    return show_opened(request, found, HTTPStatus.UNPROCESSABLE_ENTITY, lacks_day=True)


def _who(request: Request) -> tuple[str, datetime, Actor]:
    """Return who says it, when, and as which user."""
    name = user_of(request).name
    return name, page_of(request).clock(), Actor(name=name, address=address_of(request))
