"""Tables that a second person approves: what waits, what each would do, and the answer."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.core.edits import Approval, ApprovalState
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, back_to, page_of, require, user_of
from daemon.page.editing.draft import version_of
from daemon.page.values import number_of
from daemon.page.views.routing.activating import put_in_force
from daemon.page.views.routing.effects import Effect
from daemon.page.views.routing.history import line_changes
from daemon.page.views.routing.shared import Form, reader, reason_of, with_form
from daemon.store import Intent
from daemon.store.approvals import NotWaiting

_LIST, _ONE = "routing/approvals.html", "routing/approval.html"


def show(request: Request) -> Response:
    """Show what waits for a second person."""
    reader(request)
    page = page_of(request)
    page.workshop.publisher.read()  # see `_wanted`
    return page.render(request, _LIST, waiting=page.store.approvals.waiting())


def show_one(request: Request) -> Response:
    """Show one table: who wants it and why, what it changes and what it would do."""
    return _shown(request, _wanted(request))


def _wanted(request: Request) -> Approval:
    reader(request)
    page = page_of(request)
    page.workshop.publisher.read()  # a publication that a crash interrupted is its answer
    return page.store.approvals.get(number_of(request.path_params["number"]))


def _shown(
    request: Request,
    found: Approval,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    why_missing: bool = False,
) -> Response:
    page, user = page_of(request), user_of(request)
    present = page.workshop.file_text()
    is_outdated = found.version_before != version_of(present)
    before = page.workshop.text_of(found.version_before) if is_outdated else present
    is_waiting = found.state is ApprovalState.WAITING
    return page.render(
        request,
        _ONE,
        status,
        found=found,
        difference=list(line_changes(before, found.text)),
        faults=page.workshop.check(found.text).faults if is_waiting else (),
        is_outdated=is_waiting and is_outdated,
        is_own=found.by == user.name,
        may_answer=is_waiting and user.may(Right.PUBLISH) and found.by != user.name,
        may_try=is_waiting and user.may(Right.DRAFT),
        effect=Effect(),
        why_missing=why_missing,
    )


def ask(request: Request, page: Page, intent: Intent) -> Response:
    """Keep what a user wants published, for a second person; the user's draft stays."""
    number = page.store.approvals.ask(
        Approval(
            at=page.clock(),
            version=intent.version,
            version_before=intent.version_before or "",
            text=intent.text,
            by=intent.by,
            reason=intent.reason,
            source=intent.source,
            counts=dict(intent.counts),
        )
    )
    page.note(request, "routing-approval-asked", about=intent.version, details=dict(intent.counts))
    return back_to(f"/routing/approvals/{number}?notice=asked")


async def approve(request: Request) -> Response:
    """Publish a table that somebody else wants."""
    return await with_form(request, _approve)


def _approve(request: Request, _form: Form) -> Response:
    user, page, found = _answering(request)
    workshop = page.workshop
    is_outdated = version_of(workshop.file_text()) != found.version_before
    if is_outdated or workshop.check(found.text).faults:
        return _shown(request, found, HTTPStatus.CONFLICT)
    intent = Intent(
        version=found.version,
        version_before=found.version_before,
        text=found.text,
        by=found.by,
        reason=found.reason,
        source=found.source,
        counts=found.counts,
        approved_by=user.name,
        approval=found.number,
    )
    try:
        return put_in_force(request, page, intent, found.version_before)
    except NotWaiting:
        return _shown(request, _wanted(request), HTTPStatus.CONFLICT)


def _answering(request: Request) -> tuple[UserAccess, Page, Approval]:
    """Return who answers for what; the author's own answer is refused, and recorded."""
    user, page = require(request, Right.PUBLISH), page_of(request)
    found = _wanted(request)
    if found.by == user.name:
        page.note(
            request,
            "refused",
            about=found.version,
            done=False,
            details={"right": Right.PUBLISH.value, "why": "the author's own"},
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, Right.PUBLISH.value)
    return user, page, found


async def decline(request: Request) -> Response:
    """Say, with a reason, that a table should not be published."""
    return await with_form(request, _decline)


def _decline(request: Request, form: Form) -> Response:
    user, page, found = _answering(request)
    reason = reason_of(form)
    if not reason:
        return _shown(request, found, HTTPStatus.UNPROCESSABLE_ENTITY, why_missing=True)
    try:
        page.store.approvals.decline(found.number or 0, user.name, reason, page.clock())
    except NotWaiting:
        return _shown(request, _wanted(request), HTTPStatus.CONFLICT)
    page.note(request, "routing-approval-declined", about=found.version)
    return back_to(f"/routing/approvals/{found.number}?notice=declined")


async def withdraw(request: Request) -> Response:
    """Take back what one has asked for; the draft stays."""
    return await with_form(request, _withdraw)


def _withdraw(request: Request, _form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    found = _wanted(request)
    try:
        page.store.approvals.withdraw(found.number or 0, user.name, page.clock())
    except NotWaiting:
        return _shown(request, _wanted(request), HTTPStatus.CONFLICT)
    page.note(request, "routing-approval-withdrawn", about=found.version)
    return back_to(f"/routing/approvals/{found.number}?notice=withdrawn")
