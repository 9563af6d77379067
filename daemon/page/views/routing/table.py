"""The routing table as it is, or as the user's draft has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from daemon.core.errors import ConfigurationError, Fault, OperatorError
from daemon.core.rights import Right, UserAccess
from daemon.page.context import Page, back_to, page_of, require
from daemon.page.editing.draft import Draft, version_of
from daemon.page.editing.rebase import rebased
from daemon.page.views.routing.fields import KINDS, fields_of, shown
from daemon.page.views.routing.history import SOURCES
from daemon.page.views.routing.shared import Form, address_of_row, keep, kind_of, reader, with_form

_VERSION = re.compile(r"[0-9a-f]{64}")
_SECTIONS = {
    "/routing": "route",
    "/routing/recipients": "recipient",
    "/routing/covers": "delegation",
    "/routing/groups": "party_group",
}


def show(request: Request) -> Response:
    """Show the rows of one kind, in order: routes, recipients, covers or groups."""
    user, page = reader(request), page_of(request)
    kind = _SECTIONS[request.url.path]
    seen = look(page, user)
    newest = page.store.routing_changes.page(limit=1)
    return page.render(
        request,
        "routing/table.html",
        kind=kind,
        rows=rows_of(seen.draft, kind) if seen.draft else [],
        seen=seen,
        origin=newest[0] if newest else None,
        sources=SOURCES,
        awaiting=page.store.approvals.waiting(),
        watched=_version(request.query_params.get("watch", "")),
    )


def _version(text: str) -> str:
    """Return a version that is well formed, or nothing."""
    return text if _VERSION.fullmatch(text) else ""


class SeenTable:
    """What a user sees of the table: the draft, and what is wrong with it or the file."""

    def __init__(self, page: Page, user: UserAccess) -> None:
        self.may_edit = user.may(Right.DRAFT)
        self.may_publish = user.may(Right.PUBLISH)
        self.faults: Sequence[Fault] = ()
        self.problem = ""
        self.draft: Draft | None = None
        self.is_stale = False
        try:
            self._read(page, user)
        except ConfigurationError as error:
            self.faults = error.faults
        except OperatorError as error:
            self.problem = str(error)

    def _read(self, page: Page, user: UserAccess) -> None:
        workshop = page.workshop
        text = workshop.file_text()
        draft = workshop.draft(user.name) if self.may_edit else Draft(text, text)
        self.is_stale = draft.is_changed and draft.base_version != version_of(text)
        self.faults = workshop.check(draft.text).faults
        _ = draft.document  # an error is shown instead of the rows
        self.draft = draft


def look(page: Page, user: UserAccess) -> SeenTable:
    """Return what a user sees of the table."""
    return SeenTable(page, user)


def rows_of(draft: Draft, kind: str) -> list[Mapping[str, Any]]:
    """Return the rows of a kind for a list: their names, and what they say."""
    keys = draft.document.keys(kind)
    return [
        {
            "key": key,
            "address": address_of_row(kind, key),
            "says": [
                (field.label, shown(field, row), field.shape.value)
                for field in fields_of(kind)
                if field.key != "name" and _is_said(field.key, row)
            ],
            "off": row.get("enabled") is False,
        }
        for key, row in zip(keys, draft.document.rows(kind), strict=True)
    ]


def _is_said(key: str, row: Mapping[str, Any]) -> bool:
    if key.startswith("not."):
        under = row.get("not")
        return isinstance(under, dict) and key.removeprefix("not.") in under
    return key in row


async def change(request: Request) -> Response:
    """Move or remove a row of the draft."""
    return await with_form(request, _change)


def _change(request: Request, form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    kind, key = kind_of(form.get("kind", "")), form.get("row", "")
    draft = page.workshop.draft(user.name)
    what = form.get("do", "")
    if what == "remove":
        draft = draft.removed(kind, key)
    elif what in {"up", "down"}:
        draft = draft.moved(kind, key, -1 if what == "up" else 1)
    keep(request, draft)
    return back_to(f"{address_of_kind(kind)}?notice=saved")


def address_of_kind(kind: str) -> str:
    """Return the address of the list of a kind of rows."""
    return next(address for address, each in _SECTIONS.items() if each == kind)


async def discard(request: Request) -> Response:
    """Forget the user's draft."""
    return await with_form(request, _discard)


def _discard(request: Request, _form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    page.store.drafts.remove(user.name)
    page.note(request, "routing-draft-discarded")
    return back_to("/routing?notice=discarded")


async def rebase(request: Request) -> Response:
    """Take the user's draft over to the table as it is now."""
    return await with_form(request, _rebase)


def _rebase(request: Request, _form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    found = rebased(page.workshop.draft(user.name), page.workshop.file_text())
    if found.conflicts:
        return page.render(
            request,
            "routing/clash.html",
            HTTPStatus.CONFLICT,
            conflicts=found.conflicts,
            kinds=KINDS,
        )
    keep(request, found.draft)
    return back_to("/routing?notice=rebased")
