"""Bounds how much a request may send: a form is small, and only a spreadsheet is not."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FORM = 64 << 10
SPREADSHEET = 2 << 20
"""Bytes of a request's body, at most; the connection itself enforces the larger one."""
_LARGE = frozenset({"/routing/import"})


class BodySize:
    """Refuses a body that says that it is larger, or that does not say how large it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or refuse."""
        if scope["type"] == "http" and self._too_large(scope):
            refusal = PlainTextResponse(
                "The request is too large.\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _too_large(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        limit = SPREADSHEET if scope["path"] in _LARGE else FORM
        length = headers.get("content-length", "0")
        return "transfer-encoding" in headers or not length.isdigit() or int(length) > limit
