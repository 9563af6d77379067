"""The form of one row: a route, a recipient or a cover, and what its edit would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from daemon.core.errors import Fault
from daemon.core.rights import Right
from daemon.page.context import Page, back_to, page_of, require
from daemon.page.editing.document import row_key
from daemon.page.editing.draft import Draft
from daemon.page.views.routing.effects import Edited, Effect, faulty
from daemon.page.views.routing.fields import FORMS, PLACES, changes, fields_of, shown
from daemon.page.views.routing.from_letter import Suggested, suggested
from daemon.page.views.routing.shared import Form, address_of_row, keep, kind_of, reader, with_form
from daemon.page.views.routing.table import look, rows_of

_TEMPLATE = "routing/row.html"


@dataclass(frozen=True, kw_only=True)
class RowForm:
    """What the form of a row shows."""

    kind: str
    row: str
    """What the row is found by; empty for a new one."""
    values: Mapping[str, str]
    effect: Effect = field(default_factory=Effect)
    reason: str = ""
    why_missing: bool = False


def edit(request: Request) -> Response:
    """Show the form of a row."""
    reader(request)
    page, path = page_of(request), request.url.path
    kind = next(kind for kind, place in PLACES.items() if path.startswith(place))
    draft = _draft_to_show(request)
    row = draft.document.row(kind, request.path_params["key"])
    values = {each.key: shown(each, row) for each in fields_of(kind)}
    form = RowForm(kind=kind, row=request.path_params["key"], values=values)
    return render(request, page, draft, form)


def _draft_to_show(request: Request) -> Draft:
    page, user = page_of(request), reader(request)
    if user.may(Right.DRAFT):
        return page.workshop.draft(user.name)
    text = page.workshop.file_text()
    return Draft(text, text)


def new(request: Request) -> Response:
    """Show the form of a new row; of a route, also with what a letter suggests."""
    user, page = require(request, Right.DRAFT), page_of(request)
    kind = kind_of(request.query_params.get("kind", "route"))
    draft = page.workshop.draft(user.name)
    from_letter = suggested(request, page, user) if kind == "route" else None
    values = {each.key: shown(each, {}) for each in fields_of(kind)}
    if from_letter:
        values |= from_letter.chosen
    return render(request, page, draft, RowForm(kind=kind, row="", values=values), from_letter)


def render(
    request: Request,
    page: Page,
    draft: Draft,
    form: RowForm,
    from_letter: Suggested | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Return a row's form, with the other rows beside it."""
    user = reader(request)
    return page.render(
        request,
        _TEMPLATE,
        status,
        form=form,
        action=address_of_row(form.kind, form.row) if form.row else "/routing/new",
        groups=FORMS[form.kind],
        rows=rows_of(draft, form.kind),
        seen=look(page, user),
        draft=draft,
        from_letter=from_letter,
        known=known_names(draft, page),
    )


def known_names(draft: Draft, page: Page) -> Mapping[str, list[str]]:
    """Return the names that can be written into fields."""
    recipients = draft.document.keys("recipient")
    destinations, groups = page.workshop.destinations, draft.document.keys("party_group")
    return {
        "party_group": groups,
        "not.party_group": groups,
        "to": recipients,
        "copy_to": recipients,
        "deputy": recipients,
        "from": recipients,
        "deliver_to": destinations,
    }


async def save(request: Request) -> Response:
    """Put a form into the user's draft."""
    return await with_form(request, _save)


def _save(request: Request, form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    edited = apply(page.workshop.draft(user.name), form)
    if edited.faults:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return again(request, page, edited.draft, form, faulty(edited), status)
    keep(request, edited.draft)
    if edited.number is None:
        return back_to("/routing?notice=saved")
    key = edited.draft.document.keys(edited.kind)[edited.number]
    return back_to(address_of_row(edited.kind, key) + "?notice=saved")


def again(
    request: Request,
    page: Page,
    draft: Draft,
    form: Form,
    effect: Effect,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    why_missing: bool = False,
) -> Response:
    """Return a row's form as it was sent, with what it would do."""
    kind = kind_of(form.get("kind", ""))
    sent = RowForm(
        kind=kind,
        row=form.get("row", ""),
        values={each.key: form.get(each.key, "") for each in fields_of(kind)},
        effect=effect,
        reason=form.get("reason", ""),
        why_missing=why_missing,
    )
    return render(request, page, draft, sent, None, status)


def apply(draft: Draft, form: Form) -> Edited:
    """Return the draft with the row that a form has, if it has one. Raises NotFound."""
    if not form.get("kind"):
        return Edited(draft=draft)
    kind, key = kind_of(form["kind"]), form.get("row", "")
    row = draft.document.row(kind, key) if key else {}
    values = changes(kind, row, form)
    if not values:
        number = draft.document.position(kind, key) if key else None
        return Edited(draft=draft, kind=kind, number=number)
    if fault := _fault_of_name(draft, kind, key, {**row, **values}):
        return Edited(draft=draft, kind=kind, faults=[fault])
    if key:
        number = draft.document.position(kind, key)
        return Edited(draft=draft.changed(kind, key, values), kind=kind, number=number)
    edited = draft.added(kind, {name: value for name, value in values.items() if value is not None})
    return Edited(draft=edited, kind=kind, number=_new_number(draft, edited, kind))


def _fault_of_name(draft: Draft, kind: str, key: str, row: Mapping[str, Any]) -> Fault | None:
    """Return why a row could not be found by its name, if it could not."""
    new = row_key(kind, row)
    first = fields_of(kind)[0].key
    if not row.get(first):
        return Fault(file="", key=first, problem="is required", remedy="Fill it in")
    if new != key and new in draft.document.keys(kind):
        what = "there is a row of the same name" + (" and days" if kind == "delegation" else "")
        return Fault(file="", key=first, problem=what, remedy="Write another, or edit that row")
    return None


def _new_number(before: Draft, after: Draft, kind: str) -> int:
    """Return which row is new."""
    old, new = before.document.keys(kind), after.document.keys(kind)
    return next((n for n, key in enumerate(old) if new[n] != key), len(new) - 1)
