"""Publishes a draft, or an earlier version: at once, or when a second person approves it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.core.accounts import ChangeSource
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, back_to, page_of, require
from daemon.page.editing.draft import Draft, version_of
from daemon.page.editing.second_person import needs_second_person
from daemon.page.views.routing.activating import conflict, put_in_force
from daemon.page.views.routing.approvals import ask
from daemon.page.views.routing.effects import Edited, Effect, try_out
from daemon.page.views.routing.rows import again, apply
from daemon.page.views.routing.shared import Form, keep, reason_of, with_form
from daemon.store import Intent

_COUNTED = 10.0  # seconds to wait for the numbers that the history keeps


async def publish(request: Request) -> Response:
    """Put the user's draft in force, with what the form has."""
    return await with_form(request, _publish)


def _publish(request: Request, form: Form) -> Response:
    user, page = require(request, Right.PUBLISH), page_of(request)
    edited = apply(page.workshop.draft(user.name), form)
    if not edited.faults:
        keep(request, edited.draft)
        if not edited.draft.is_changed:
            return back_to("/routing?notice=unchanged")
    effect = try_out(page, user, edited, _COUNTED)
    reason = reason_of(form)
    if effect.state == "faulty" or not reason:
        return _refused(request, page, edited, form, effect, why_missing=not reason)
    return _go_on(request, page, edited.draft, _intent(edited.draft, user, reason, effect))


def _go_on(request: Request, page: Page, draft: Draft, intent: Intent) -> Response:
    """Publish it, or ask a second person where that is needed."""
    workshop, approvals = page.workshop, page.configuration.routing.approvals
    before, after = workshop.present(draft.base), workshop.check(draft.text).table
    if needs_second_person(approvals, intent.source, before, after):
        is_stale = version_of(workshop.file_text()) != draft.base_version
        return conflict(request, page) if is_stale else ask(request, page, intent)
    return put_in_force(request, page, intent, draft.base_version)


def _intent(
    draft: Draft,
    user: UserAccess,
    reason: str,
    effect: Effect,
    source: ChangeSource = ChangeSource.PAGE,
) -> Intent:
    return Intent(
        version=draft.version,
        version_before=draft.base_version,
        text=draft.text,
        by=user.name,
        reason=reason,
        source=source,
        counts=_counts(effect),
    )


def _counts(effect: Effect) -> dict[str, Any]:
    outcome = effect.trial.outcome if effect.trial else None
    return {"letters": outcome.letters, "moved": outcome.moved} if outcome else {}


def _refused(
    request: Request, page: Page, edited: Edited, form: Form, effect: Effect, *, why_missing: bool
) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if form.get("kind"):
        return again(request, page, edited.draft, form, effect, status, why_missing=why_missing)
    return page.render(
        request, "routing/trial.html", status, effect=effect, why_missing=why_missing
    )


async def roll_back(request: Request) -> Response:
    """Put an earlier version in force again."""
    return await with_form(request, _roll_back)


def _roll_back(request: Request, form: Form) -> Response:
    user, page = require(request, Right.PUBLISH), page_of(request)
    version = form.get("version", "")
    text = page.workshop.text_of(version)
    if text is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    present = page.workshop.file_text()
    if form.get("base", "") != version_of(present):
        return conflict(request, page)
    draft, reason = Draft(present, text), reason_of(form)
    if not draft.is_changed:
        return back_to("/routing?notice=unchanged")
    edited = Edited(draft=draft)
    effect = try_out(page, user, edited, _COUNTED)
    if effect.state == "faulty" or not reason:
        return _refused(request, page, edited, {}, effect, why_missing=not reason)
    intent = _intent(draft, user, reason, effect, ChangeSource.ROLLBACK)
    return _go_on(request, page, draft, intent)
