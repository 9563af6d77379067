"""Somebody moves a letter to another recipient than the routing table chose.

They are asked nothing; three equal moves are a proposal for a route, as
`daemon/routing/proposals.py` says.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.rights import Right
from daemon.intake.rerouting import Rerouter
from daemon.page.context import back_to, page_of, user_of
from daemon.page.movable import current_table, recipients_for
from daemon.page.secret_letters import is_secret
from daemon.page.timeline import REFUSED
from daemon.page.views.letter import OpenedLetter, letter_of, may_move, was_opened


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/letters/{id}/route", move, methods=["POST"])]


async def move(request: Request) -> Response:
    """Send a letter to the recipient that the form names, at once."""
    async with request.form(max_files=0, max_fields=3) as form:
        to = str(form.get("to", "")).strip()
    return await run_in_threadpool(_move, request, to)


def _move(request: Request, to: str) -> Response:
    page, user, found = page_of(request), user_of(request), _own(request)
    message = found.message
    if is_secret(message) and not was_opened(request, message):
        return page.render(request, "letter/reason.html", message=message, fault=False)
    table = current_table(page)
    if table is None or to not in recipients_for(table, message):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    rerouter = Rerouter(store=page.store, table=lambda: table, clock=page.clock)
    rerouter.route(message.id, to)
    details = {"from": list(found.people), "to": to}
    page.note(request, "letter-moved", message_id=message.id, details=details)
    page.wake()
    people = page.store.decisions.decided(message.id).decision.recipients
    sees = user.may_with(Right.LIST, message.party, people)
    return back_to((f"/letters/{message.id}" if sees else "/letters") + "?notice=moved")


def _own(request: Request) -> OpenedLetter:
    """Return the letter, if the user may move it; otherwise record the refusal."""
    found = letter_of(request)
    if not may_move(request, found):
        page_of(request).note(
            request,
            REFUSED,
            message_id=found.message.id,
            done=False,
            details={"right": Right.PUBLISH.value},
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, Right.PUBLISH.value)
    return found
