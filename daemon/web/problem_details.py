"""Errors of the pull API as problem details: application/problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
_DETAILS = {
    HTTPStatus.BAD_REQUEST: "the request's Range header is not valid",
    HTTPStatus.NOT_FOUND: "there is nothing at this address",
    HTTPStatus.METHOD_NOT_ALLOWED: "the method is not one that this address takes; see Allow",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "the range lies outside the attachment",
    HTTPStatus.INTERNAL_SERVER_ERROR: "the service failed unexpectedly; its log says more",
}
_KEPT_HEADERS = ("allow", "content-range")


def members(status: int, detail: str) -> dict[str, Any]:
    """Return the members of a problem that is its status and no more (RFC 9457, 4.2.1)."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error's response."""
    return JSONResponse(members(status, detail), status, headers, media_type=MEDIA_TYPE)


async def unexpected_failure(_request: Request, _error: Exception) -> Response:
    """Return the response to a request at which the service failed."""
    return _of_status(HTTPStatus.INTERNAL_SERVER_ERROR, {})


class ErrorsAsProblems:
    """ASGI middleware that makes every error a problem, the framework's plain texts included."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, errors as problems."""
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_foreign_error(message):
                replaced = True
                headers = Headers(raw=message["headers"])
                kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
                await _of_status(message["status"], kept)(scope, receive, send)
            elif not replaced:
                await send(message)

        await self._application(scope, receive, send_problem)


def _is_foreign_error(start: Message) -> bool:
    status, headers = start["status"], Headers(raw=start["headers"])
    return status >= HTTPStatus.BAD_REQUEST and headers.get("content-type") != MEDIA_TYPE


def _of_status(status: int, headers: Mapping[str, str]) -> Response:
    known = HTTPStatus(status)
    return problem(status, _DETAILS.get(known, known.description), headers)
