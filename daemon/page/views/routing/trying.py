"""What an edit would do, while it is typed: a part of the page that is asked for again."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.core.rights import Right
from daemon.page.context import Page, page_of, require
from daemon.page.editing.draft import Draft
from daemon.page.values import number_of
from daemon.page.views.routing.effects import Edited, Effect, effect_of, try_out
from daemon.page.views.routing.rows import again, apply
from daemon.page.views.routing.shared import Form, with_form

_PART = "routing/effect.html"
_WHOLE = "routing/trial.html"
_LATER = "3"  # seconds, after which the page itself asks again
_SOON, _PATIENT = 0.7, 20.0  # seconds to wait for a result, with script and without


async def try_edit(request: Request) -> Response:
    """Say what a form, a draft or an earlier version would change. Changes nothing."""
    return await with_form(request, _try)


def _try(request: Request, form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    is_part = "hx-request" in request.headers
    edited = _edited(page, user.name, form)
    effect = try_out(page, user, edited, _SOON if is_part else _PATIENT)
    status = HTTPStatus.TOO_MANY_REQUESTS if effect.state == "busy" else HTTPStatus.OK
    if is_part:
        return part(request, page, effect, status)
    if form.get("kind"):
        return again(request, page, edited.draft, form, effect, status)
    return page.render(request, _WHOLE, status, effect=effect)


def _edited(page: Page, user: str, form: Form) -> Edited:
    """Return the draft with what the form has; or another text as if it were a draft.

    That is of an earlier version, or of a table that waits for a second person.
    """
    if number := form.get("approval"):
        wanted = page.store.approvals.get(number_of(number))
        return Edited(draft=Draft(page.workshop.file_text(), wanted.text))
    if version := form.get("version"):
        text = page.workshop.text_of(version)
        if text is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Edited(draft=Draft(page.workshop.file_text(), text))
    return apply(page.workshop.draft(user), form)


def part(
    request: Request, page: Page, effect: Effect, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    """Return an effect alone, to be put into the page."""
    answer = page.render(request, _PART, status, effect=effect)
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        answer.headers["Retry-After"] = _LATER
    return answer


def look_again(request: Request) -> Response:
    """Say how far a dry run has come; nothing if the user has begun another one since.

    One of another process of the page, on another node or before a restart, is asked for again.
    """
    user, page = require(request, Right.DRAFT), page_of(request)
    trials, wanted = page.workshop.trials, request.path_params["trial"]
    trial = trials.find(user.name, wanted)
    if trial is None and not trials.knew(wanted):
        return part(request, page, Effect(state="lost"))
    if trial is None:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    trial.wait(_SOON)
    return part(request, page, effect_of(page, user, trial))
