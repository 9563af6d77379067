"""A receiver says of a letter that they have it, or that it is not for them.

That needs the right to open the letter and the right to receive for one of its recipients; of a
confidential one, that the user has opened it. The first answer stays, as
`daemon/store/acknowledgements.py` says.
"""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.bookkeeping import AcknowledgementState
from daemon.core.rights import Right
from daemon.page.context import address_of, back_to, page_of, user_of
from daemon.page.secret_letters import is_secret
from daemon.page.views.letter import OpenedLetter, letter_of, may_answer, show_opened, was_opened
from daemon.store.answers import LONGEST_NOTE
from daemon.store.users import Actor


def routes() -> list[Route]:
    """Return the addresses."""
    return [
        Route("/letters/{id}/acknowledge", acknowledge, methods=["POST"]),
        Route("/letters/{id}/reject", reject, methods=["POST"]),
    ]


async def acknowledge(request: Request) -> Response:
    """Record that the user has the letter."""
    note = await _text(request, "note")
    return await run_in_threadpool(_answer, request, AcknowledgementState.ACKNOWLEDGED, note)


async def reject(request: Request) -> Response:
    """Record that the letter is not for the user, who says why."""
    reason = await _text(request, "reason")
    return await run_in_threadpool(_answer, request, AcknowledgementState.REJECTED, reason)


async def _text(request: Request, name: str) -> str:
    async with request.form(max_files=0, max_fields=3) as form:
        return str(form.get(name, "")).strip()[:LONGEST_NOTE]


def _answer(request: Request, state: AcknowledgementState, text: str) -> Response:
    page, found = page_of(request), own_letter(request)
    message = found.message
    if is_secret(message) and not was_opened(request, message):
        return page.render(request, "letter/reason.html", message=message, fault=False)
    if state is AcknowledgementState.REJECTED and not text:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return show_opened(request, found, status, lacks_reason=True)
    answered = _record(request, message.id, state, text)
    return back_to(f"/letters/{message.id}?notice={answered.value}")


def own_letter(request: Request) -> OpenedLetter:
    """Return the letter, if the user may answer for it; otherwise record the refusal."""
    found = letter_of(request)
    if not may_answer(request, found):
        page_of(request).note(
            request,
            "refused",
            message_id=found.message.id,
            done=False,
            details={"right": Right.RECEIVE.value},
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, Right.RECEIVE.value)
    return found


def _record(
    request: Request, message_id: UUID, state: AcknowledgementState, text: str
) -> AcknowledgementState:
    """Record the answer; return the one that holds."""
    page, name = page_of(request), user_of(request).name
    answers, actor = page.store.acknowledgements, Actor(name=name, address=address_of(request))
    way = answers.reject if state is AcknowledgementState.REJECTED else answers.acknowledge
    return way(message_id, name, page.clock(), actor, text).state
