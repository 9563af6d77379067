"""The endpoint that Altinn sends events to. An event is not believed: it only wakes the bell.

The address ends with a secret; any other answers as if there were nothing. What is sent is looked
at no further than needed to answer as Altinn expects: a 2xx validates a subscription, and anything
else is sent again for two days.

Source: Altinn/altinn-events, WebhookService.cs, ValidateSubscriptionHandler.cs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

_LARGEST = 64 * 1024  # bytes; an event has a few hundred
VALIDATION = "platform.events.validatesubscription"


class EventsEndpoint:
    """The endpoint; `wake` is called for each event but one of validation, from any thread."""

    def __init__(self, secret: str, wake: Callable[[], None]) -> None:
        self._secret, self._wake = secret.encode(), wake

    def application(self) -> Starlette:
        """Return the endpoint as an ASGI application."""
        application = Starlette(
            routes=[Route("/{rest:path}", self._take, methods=["POST", "GET", "PUT", "DELETE"])]
        )
        application.router.redirect_slashes = False
        return application

    async def _take(self, request: Request) -> Response:
        given = request.url.path.rpartition("/")[2].encode()
        if not secrets.compare_digest(given, self._secret):
            return Response(status_code=HTTPStatus.NOT_FOUND)
        if request.method != "POST":
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST:
                    return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        kind = _type_of(bytes(body))
        if kind is None:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        if kind != VALIDATION:
            self._wake()
        return Response(status_code=HTTPStatus.OK)


def _type_of(body: bytes) -> str | None:
    """Return the type of a CloudEvent; None if it is none."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    kind = event.get("type") if isinstance(event, dict) else None
    return kind if isinstance(kind, str) else None
