"""Help, with the keyboard's shortcuts, and the accessibility statement."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.page.context import page_of


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/help", show), Route("/accessibility", accessibility)]


def show(request: Request) -> Response:
    """Show the help."""
    return page_of(request).render(request, "base/help.html")


def accessibility(request: Request) -> Response:
    """Show the accessibility statement."""
    return page_of(request).render(request, "base/accessibility.html")
