"""The versions of the table: who put them in force, why, and what they changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from daemon.core.accounts import ChangeSource
from daemon.core.rights import Right
from daemon.page.context import Page, page_of
from daemon.page.editing.draft import version_of
from daemon.page.values import number_of
from daemon.page.views.routing.effects import Effect
from daemon.page.views.routing.shared import reader
from daemon.page.wording import N_

_PAGE = 50  # versions
SOURCES = {
    ChangeSource.PAGE: N_("on this page"),
    ChangeSource.FILE: N_("edited on the machine"),
    ChangeSource.COMMAND: N_("by a command"),
    ChangeSource.ROLLBACK: N_("rolled back"),
}


def show(request: Request) -> Response:
    """Show the versions, the newest first."""
    reader(request)
    page = page_of(request)
    page.workshop.publisher.read()  # a publication that a crash interrupted belongs here too
    number = number_of(request.query_params.get("before", "")) or None
    found = page.store.routing_changes.page(before=number, limit=_PAGE)
    older = found[-1].number if len(found) == _PAGE else None
    return page.render(
        request, "routing/history.html", versions=found, older=older, sources=SOURCES
    )


def show_version(request: Request) -> Response:
    """Show one version: its text, what it changed, and how to roll back to it."""
    user, page = reader(request), page_of(request)
    version = request.path_params["version"]
    text = page.workshop.text_of(version)
    if text is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    changes = [
        each for each in page.store.routing_changes.page(limit=500) if each.version == version
    ]
    before = changes[0].version_before if changes else None
    return page.render(
        request,
        "routing/version.html",
        version=version,
        text=text,
        changes=changes,
        sources=SOURCES,
        difference=list(_difference(page, before, text)),
        base=version_of(page.workshop.file_text()),
        may_publish=user.may(Right.PUBLISH),
        may_try=user.may(Right.DRAFT),
        effect=Effect(),
        reason="",
    )


def _difference(page: Page, before: str | None, text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that differ from the version before."""
    earlier = page.workshop.text_of(before) if before else None
    return line_changes(earlier, text)


def line_changes(before: str | None, after: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that differ between two texts, each with + or - or a blank.

    Nothing where the earlier one is not known.
    """
    if before is None:
        return
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    for number, line in enumerate(lines):
        if number > 1:  # the first two name files
            yield ("…", "") if line.startswith("@@") else (line[:1], line[1:])
