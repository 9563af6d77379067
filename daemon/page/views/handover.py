"""Hands over what somebody holds who leaves: a preview, and one action."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.accounts import ChangeSource
from daemon.core.edits import Approval
from daemon.core.errors import NotFound, OperatorError
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, address_of, back_to, page_of, require
from daemon.page.editing.publishing import NotWritable, Stale
from daemon.page.editing.second_person import needs_second_person
from daemon.page.handover import HandOver, HandOvers
from daemon.page.views.routing.shared import Form, explained, with_form
from daemon.routing.table import Table
from daemon.store import Actor, Intent

_TEMPLATE = "admin/handover.html"


def routes() -> list[Route]:
    """Return the addresses."""
    address = "/admin/handover/{user:path}"  # the name of a recipient may have slashes
    return [Route(address, explained(show)), Route(address, hand_over, methods=["POST"])]


def show(request: Request) -> Response:
    """Show what somebody holds, and what becomes of it."""
    _require_all(request)
    page, to = page_of(request), request.query_params.get("to", "").strip()
    return _shown(request, page, _handovers(page), to)


def _require_all(request: Request) -> UserAccess:
    """Return the user, who may publish without limits: what somebody holds has none."""
    user = require(request, Right.PUBLISH)
    if not user.may_with_all(Right.PUBLISH):
        details = {"right": Right.PUBLISH.value}
        page_of(request).note(
            request, "refused", about=request.url.path, done=False, details=details
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, Right.PUBLISH.value)
    return user


def _handovers(page: Page) -> HandOvers:
    workshop = page.workshop
    text = workshop.file_text()
    return HandOvers(store=page.store, text=text, table=workshop.present(text), clock=page.clock)


def _shown(
    request: Request,
    page: Page,
    handovers: HandOvers,
    to: str,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    name = request.path_params["user"]
    handed, fault = handovers.prepare(name), False
    if to:
        try:
            handed = handovers.prepare(name, to)
        except OperatorError:
            fault, status = True, HTTPStatus.UNPROCESSABLE_ENTITY
    faults = page.workshop.check(handed.draft.text).faults if handed.to else ()
    return page.render(
        request,
        _TEMPLATE,
        status,
        handed=handed,
        address=f"/admin/handover/{quote(name)}",
        to=to,
        fault=fault,
        faults=faults,
        known=[each for each in handovers.known() if each != name],
    )


async def hand_over(request: Request) -> Response:
    """Put somebody in the place of another."""
    return await with_form(request, _hand_over)


def _hand_over(request: Request, form: Form) -> Response:
    user, page, to = _require_all(request), page_of(request), form.get("to", "").strip()
    handovers, name = _handovers(page), request.path_params["user"]
    try:
        handed = handovers.prepare(name, to) if to else None
    except NotFound:
        handovers.prepare(name)  # if it is this name that is not known, it is not found
        handed = None
    except OperatorError:
        handed = None
    after = page.workshop.check(handed.draft.text).table if handed else None
    if handed is None or after is None:
        return _shown(request, page, handovers, to, HTTPStatus.UNPROCESSABLE_ENTITY)
    return _carried_out(request, page, user, handovers, handed, after)


def _carried_out(  # all that was prepared
    request: Request,
    page: Page,
    user: UserAccess,
    handovers: HandOvers,
    handed: HandOver,
    after: Table,
) -> Response:
    before, actor = handovers.table, Actor(name=user.name, address=address_of(request))
    approvals = page.configuration.routing.approvals
    asks = needs_second_person(approvals, ChangeSource.PAGE, before, after)
    asks = asks and handed.draft.is_changed
    try:
        _put_in_force(page, user, handed, asks=asks)
    except Stale:
        return _shown(request, page, _handovers(page), handed.to, HTTPStatus.CONFLICT)
    except NotWritable as error:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return page.render(request, "routing/not_writable.html", status, error=error)
    handovers.finish(handed, before if asks else after, actor)
    page.wake()
    notice = "handed-over-asked" if asks else "handed-over"
    return back_to(f"/admin/handover/{quote(handed.name)}?notice={notice}")


def _put_in_force(page: Page, user: UserAccess, handed: HandOver, *, asks: bool) -> None:
    """Publish the table that names the other, or ask a second person to. Raises Stale."""
    draft, reason = handed.draft, f"{handed.name} → {handed.to}"
    if not draft.is_changed:
        return
    if asks:
        wanted = Approval(
            at=page.clock(),
            version=draft.version,
            version_before=draft.base_version,
            text=draft.text,
            by=user.name,
            reason=reason,
            source=ChangeSource.PAGE,
        )
        page.store.approvals.ask(wanted)
        return
    intent = Intent(
        version=draft.version,
        version_before=draft.base_version,
        text=draft.text,
        by=user.name,
        reason=reason,
    )
    page.workshop.publisher.publish(intent, draft.base_version)
