"""The desk of deadlines, what persons say of them, and calendars for other programs."""

from __future__ import annotations

from starlette.routing import Route

from daemon.page.views.deadlines import answers, calendars, desk


def routes() -> list[Route]:
    """Return the addresses."""
    return [*calendars.routes(), *desk.routes(), *answers.routes()]
