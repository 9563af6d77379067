"""Puts a table in force, and says when the service has it."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from daemon.page.context import Page, back_to, page_of
from daemon.page.editing.publishing import NotWritable, Stale
from daemon.page.views.routing.shared import reader
from daemon.store import Intent

_PUBLISHED = "routing-published"


def put_in_force(request: Request, page: Page, intent: Intent, base_version: str) -> Response:
    """Replace the table's file, and record who did it. Raises NotWaiting for its approval."""
    details = {"before": base_version, "source": intent.source.value, **intent.counts}
    if intent.approved_by:
        details["author"] = intent.by
    try:
        page.workshop.publisher.publish(intent, base_version)
    except Stale:
        page.note(request, _PUBLISHED, about=intent.version, done=False, details=details)
        return conflict(request, page)
    except NotWritable as error:
        page.note(request, _PUBLISHED, about=intent.version, done=False, details=details)
        return page.render(
            request, "routing/not_writable.html", HTTPStatus.SERVICE_UNAVAILABLE, error=error
        )
    page.note(request, _PUBLISHED, about=intent.version, details=details)
    page.wake()
    return back_to(f"/routing?notice=published&watch={intent.version}")


def conflict(request: Request, page: Page) -> Response:
    """Say that somebody else has published meanwhile, and that the draft is kept."""
    newest = page.store.routing_changes.page(limit=1)
    change = newest[0] if newest else None
    return page.render(request, "routing/conflict.html", HTTPStatus.CONFLICT, change=change)


def in_force(request: Request) -> Response:
    """Say that the service has activated a version; an empty answer as long as it has not."""
    reader(request)
    page, version = page_of(request), request.path_params["version"]
    active = page.store.queries.table_in_force()
    if active is None or active.version != version:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return page.render(request, "routing/in_force.html", since=active.in_force_since)
