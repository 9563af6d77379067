"""The pull API: a program that was notified of a letter fetches it here, and acknowledges it.

    GET  /api/v1/messages/{id}                        what is known of the letter, as JSON
    GET  /api/v1/messages/{id}/body                   its text
    GET  /api/v1/messages/{id}/attachments/{place}    an attachment; supports Range
    POST /api/v1/deliveries/{id}/ack                  the receiver has taken it
    POST /api/v1/deliveries/{id}/reject               the receiver rejects it

An attachment's `place` is 1 for the first, or its safe name. The body of `reject` is JSON,
{"reason": "..."}, or empty.

Every call needs `Authorization: Bearer <token>`. Errors are problem+json. Acknowledging twice is
harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from daemon.core.document import body_name
from daemon.core.errors import NotFound, StoreBusy, StoreError
from daemon.core.model import KEPT_STATES, Attachment, DeliveryState, Message
from daemon.store import Store, wait_limit
from daemon.store.content import ContentStore
from daemon.web.tokens import WAIT, TokenGuard, TokenVerdict

_LONGEST_REASON = 500
_ANSWERS_WITHIN = 10.0  # seconds to wait for a busy database
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Api:
    """The pull API over a store."""

    store: Store
    content: ContentStore
    tokens: TokenGuard
    clock: Callable[[], datetime]

    def application(self) -> Starlette:
        """Return the API as an ASGI application."""
        base = "/api/v1"
        return Starlette(
            routes=[
                Route(f"{base}/messages/{{id}}", self._guarded(self._message)),
                Route(f"{base}/messages/{{id}}/body", self._guarded(self._body)),
                Route(
                    f"{base}/messages/{{id}}/attachments/{{which}}", self._guarded(self._attachment)
                ),
                Route(
                    f"{base}/deliveries/{{id}}/ack",
                    self._guarded(self._acknowledge),
                    methods=["POST"],
                ),
                Route(
                    f"{base}/deliveries/{{id}}/reject",
                    self._guarded(self._reject),
                    methods=["POST"],
                ),
            ]
        )

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            verdict = self.tokens.judge(request.headers.get("authorization", "").encode("latin-1"))
            if verdict is not TokenVerdict.RIGHT:
                return _refused(verdict)
            try:
                return await handler(request)
            except NotFound as error:
                return _problem(404, str(error))
            except StoreBusy:
                return _problem(
                    503, "the database is busy; try again a little later", {"Retry-After": "10"}
                )
            except StoreError:
                return _problem(503, "the letters cannot be read now", {"Retry-After": str(WAIT)})
            except ClientDisconnect:
                return _problem(400, "the request ended early")  # the client cannot receive it

        return answer

    async def _message(self, request: Request) -> Response:
        message, attachments = await run_in_threadpool(self._find, request)
        return JSONResponse(
            {
                **message.model_dump(mode="json", exclude={"body"}),
                "attachments": [
                    each.model_dump(mode="json", exclude={"message_id"}) for each in attachments
                ],
            }
        )

    async def _body(self, request: Request) -> Response:
        message, _ = await run_in_threadpool(self._find, request)
        if message.body_deleted_at:
            return _problem(410, "the text is not here: retention deleted it")
        headers = {
            "Content-Disposition": f'attachment; filename="{body_name(message)}"',
            "X-Content-Type-Options": "nosniff",
        }
        return Response(
            message.body, media_type=f"{message.body_type}; charset=utf-8", headers=headers
        )

    async def _attachment(self, request: Request) -> Response:
        _, attachments = await run_in_threadpool(self._find, request)
        which = request.path_params["which"]
        found = next(
            (each for each in attachments if which in {str(each.position), each.safe_name}), None
        )
        if found is None:
            raise NotFound(f"the letter has no attachment {which!r}")
        if found.state not in KEPT_STATES or not found.sha256:
            return _problem(410, f"the attachment is not here: {found.state}")
        path = self.content.path(found.sha256)
        headers = {"X-Content-Type-Options": "nosniff", "Digest": f"sha-256={found.sha256}"}
        return FileResponse(
            path, media_type=found.media_type, filename=found.safe_name, headers=headers
        )

    def _find(self, request: Request) -> tuple[Message, list[Attachment]]:
        with wait_limit(_ANSWERS_WITHIN):
            message = self.store.queries.message_by_id(_id(request))
            return message, list(self.store.queries.attachments(message.id))

    async def _acknowledge(self, request: Request) -> Response:
        return await run_in_threadpool(self._settle_soon, _id(request), None)

    async def _reject(self, request: Request) -> Response:
        body = await request.body()
        try:
            reason = (await request.json()).get("reason", "") if body else ""
        except (ValueError, AttributeError, RecursionError):
            return _problem(400, 'the body is not a JSON object such as {"reason": "..."}')
        # JSON can hold half of a surrogate pair, a database cannot
        reason = str(reason)[:_LONGEST_REASON].encode("utf-8", "replace").decode()
        return await run_in_threadpool(
            self._settle_soon, _id(request), reason or "rejected without a reason"
        )

    def _settle_soon(self, delivery_id: UUID, rejection: str | None) -> Response:
        with wait_limit(_ANSWERS_WITHIN):
            return self._settle(delivery_id, rejection)

    def _settle(self, delivery_id: UUID, rejection: str | None) -> Response:
        delivery = self.store.queries.delivery_by_id(delivery_id)
        if delivery.state is not DeliveryState.DELIVERED:
            return _problem(
                409,
                f"the delivery is {delivery.state}; only what was delivered can be taken or "
                "rejected",
            )
        if delivery.taken_at is None and delivery.rejection is None:
            self.store.outbox.picked_up(delivery_id, self.clock(), rejection)
        return Response(status_code=204)


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError as error:
        raise NotFound("the id in the address is not a valid id") from error


def _refused(verdict: TokenVerdict) -> Response:
    if verdict is TokenVerdict.TOO_MANY:
        return _problem(
            429,
            "the token is wrong, and so were many before it",
            {"Retry-After": str(WAIT), "Connection": "close"},
        )
    return _problem(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(
        {"status": status, "detail": detail}, status, headers, media_type="application/problem+json"
    )
