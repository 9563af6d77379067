"""The pull API: a program fetches letters here, and acknowledges them. See docs/api.md.

    GET  /api/v1/deliveries                           letters that wait, a page at a time
    GET  /api/v1/messages/{id}                        the letter, as in a drop's message.json
    GET  /api/v1/messages/{id}/body                   its text
    GET  /api/v1/messages/{id}/attachments/{place}    an attachment; supports Range
    POST /api/v1/deliveries/{id}/ack                  the receiver has taken it
    POST /api/v1/deliveries/{id}/reject               the receiver rejects it
    GET  /api/v1/openapi.json                         all of this, as docs/openapi.json

An attachment's `place` is 1 for the first, or its safe name. The body of `reject` is JSON,
{"reason": "..."}, or empty.

Every call but the last needs `Authorization: Bearer <token>`. Errors are problem+json. The same
answer twice is harmless; the other answer is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daemon.core.document import LetterDocument, body_name, letter_document
from daemon.core.errors import (
    ContentMissing,
    ContentUnavailable,
    NotFound,
    StoreBusy,
    StoreError,
)
from daemon.core.model import KEPT_STATES, Attachment, DeliveryState, Message
from daemon.store import LetterCopy, SeveralCopies, Store, wait_limit
from daemon.store.content import ContentStore
from daemon.web.description import describe
from daemon.web.digests import digest_headers, digest_headers_of
from daemon.web.held_file import HeldFileResponse
from daemon.web.list_cursor import cursor_place, cursor_text
from daemon.web.person_answers import PersonAnswer, acknowledge_for, person_of
from daemon.web.problem_details import ErrorsAsProblems, problem, unexpected_failure
from daemon.web.tokens import WAIT, TokenGuard, TokenVerdict

_LONGEST_REASON = 500
_ANSWERS_WITHIN = 10.0  # seconds to wait for a busy database
_LONGEST_NAME = 64  # characters of an unknown parameter that are repeated in the answer
_PAGE, _LARGEST_PAGE = 20, 100  # letters
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Api:
    """The pull API over a store."""

    store: Store
    content: ContentStore
    tokens: TokenGuard
    clock: Callable[[], datetime]
    destinations: Callable[[], Collection[str]] | None = None
    """The names that are configured; None if they are not known."""

    def application(self) -> Starlette:
        """Return the API as an ASGI application."""
        base = "/api/v1"
        application = Starlette(
            middleware=[Middleware(ErrorsAsProblems)],
            exception_handlers=_ERRORS,
            routes=[
                Route(
                    f"{base}/deliveries",
                    self._guarded(self._waiting, "destination", "limit", "cursor"),
                ),
                Route(f"{base}/messages/{{id}}", self._guarded(self._message, "destination")),
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
                Route(
                    f"{base}/messages/{{id}}/acknowledge",
                    self._guarded(self._person),
                    methods=["POST"],
                ),
                Route(f"{base}/openapi.json", _open(describe)),
            ],
        )
        application.router.redirect_slashes = False  # an address with one more names nothing
        return application

    def _guarded(self, handler: Handler, *parameters: str) -> Handler:
        async def answer(request: Request) -> Response:
            verdict = self.tokens.judge(request.headers.get("authorization", "").encode("latin-1"))
            if verdict is not TokenVerdict.RIGHT:
                return _refused(verdict)
            _check_parameters(request, parameters)
            return await handler(request)

        return answer

    async def _waiting(self, request: Request) -> Response:
        return await run_in_threadpool(self._page, request)

    def _page(self, request: Request) -> Response:
        destination, limit = self._destination(request), _limit(request)
        with wait_limit(_ANSWERS_WITHIN):
            page = self.store.handed_over.unanswered(destination, limit, _after(request))
        letters = [_document(each).model_dump(mode="json") for each in page.copies]
        return JSONResponse(
            {"letters": letters, "next_cursor": cursor_text(page.after) if page.after else None}
        )

    async def _message(self, request: Request) -> Response:
        return await run_in_threadpool(self._letter, request)

    def _letter(self, request: Request) -> Response:
        destination = self._destination(request)
        with wait_limit(_ANSWERS_WITHIN):
            copy = self.store.handed_over.copy(_id(request), destination)
        text = f"{_document(copy).model_dump_json(indent=2)}\n".encode()
        return Response(
            text, media_type="application/json", headers=digest_headers_of(request, text)
        )

    def _destination(self, request: Request) -> str | None:
        name = request.query_params.get("destination")
        if name is not None and self.destinations and name not in self.destinations():
            raise NotFound(f"the destination {name!r} is not in the configuration")
        return name

    async def _body(self, request: Request) -> Response:
        message, _ = await run_in_threadpool(self._find, request)
        if message.body_deleted_at:
            return problem(410, "the text is not here: retention deleted it")
        text = message.body.encode()
        headers = {
            "Content-Disposition": f'attachment; filename="{body_name(message)}"',
            "X-Content-Type-Options": "nosniff",
            **digest_headers_of(request, text),
        }
        return Response(text, media_type=f"{message.body_type}; charset=utf-8", headers=headers)

    async def _attachment(self, request: Request) -> Response:
        _, attachments = await run_in_threadpool(self._find, request)
        which = request.path_params["which"]
        found = next(
            (each for each in attachments if which in {str(each.position), each.safe_name}), None
        )
        if found is None:
            raise NotFound(f"the letter has no attachment {which!r}")
        if found.state not in KEPT_STATES or not found.sha256:
            return problem(410, f"the attachment is not here: {found.state}")
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Digest": f"sha-256={found.sha256}",  # what it was before RFC 9530; clients may read it
            **digest_headers(request, found.sha256),
        }
        try:
            return await run_in_threadpool(
                partial(
                    HeldFileResponse,
                    self.content,
                    found.sha256,
                    media_type=found.media_type,
                    filename=found.safe_name,
                    headers=headers,
                )
            )
        except ContentUnavailable:
            return problem(
                503, "the attachment cannot be had now", headers={"Retry-After": str(WAIT)}
            )
        except ContentMissing:
            return problem(500, "the attachment's file is missing; `postmottak db check` shows it")

    def _find(self, request: Request) -> tuple[Message, list[Attachment]]:
        with wait_limit(_ANSWERS_WITHIN):
            message = self.store.queries.message_by_id(_id(request))
            return message, list(self.store.queries.attachments(message.id))

    async def _acknowledge(self, request: Request) -> Response:
        return await run_in_threadpool(self._settle_soon, _id(request), None)

    async def _reject(self, request: Request) -> Response:
        body = await request.body()
        try:
            reason = _reason(body)
        except (ValueError, RecursionError):
            return problem(400, 'the body is not a JSON object such as {"reason": "a text"}')
        return await run_in_threadpool(
            self._settle_soon, _id(request), reason or "rejected without a reason"
        )

    async def _person(self, request: Request) -> Response:
        try:
            answer = person_of(await request.body())
        except (ValueError, RecursionError):
            return problem(400, 'the body is not a JSON object such as {"by": "kari@example.no"}')
        return await run_in_threadpool(self._acknowledge_message, _id(request), answer)

    def _acknowledge_message(self, message_id: UUID, person: PersonAnswer) -> Response:
        with wait_limit(_ANSWERS_WITHIN):
            return JSONResponse(acknowledge_for(self.store, message_id, person, self.clock()))

    def _settle_soon(self, delivery_id: UUID, rejection: str | None) -> Response:
        with wait_limit(_ANSWERS_WITHIN):
            return self._settle(delivery_id, rejection)

    def _settle(self, delivery_id: UUID, rejection: str | None) -> Response:
        if self.store.outbox.answered(delivery_id, self.clock(), rejection):
            return Response(status_code=204)
        delivery = self.store.queries.delivery_by_id(delivery_id)
        if delivery.state is not DeliveryState.DELIVERED:
            return problem(
                409,
                f"the delivery is {delivery.state}; only what was delivered can be taken or "
                "rejected",
            )
        was_rejected = delivery.rejection is not None
        if was_rejected == (rejection is not None):
            return Response(status_code=204)
        return problem(409, f"the delivery was {_ANSWERS[was_rejected]}")


_ANSWERS = {
    True: "rejected before, so it cannot be acknowledged",
    False: "taken before, so it cannot be rejected",
}


def _open(handler: Handler) -> Handler:
    """Return a handler for an address that needs no token, and takes no parameter."""

    async def answer(request: Request) -> Response:
        _check_parameters(request, ())
        return await handler(request)

    return answer


class _BadParameter(ValueError):
    """A parameter of the address that is not valid."""


def _failure(
    status: int, detail: str = "", headers: dict[str, str] | None = None
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what answers an error: with `detail`, or without one with the error's own words."""

    async def answer(_: Request, error: Exception) -> Response:
        return problem(status, detail or str(error), headers)

    return answer


_ERRORS = {
    NotFound: _failure(404),
    _BadParameter: _failure(400),
    SeveralCopies: _failure(
        400, "the letter is at several destinations; say whose copy with ?destination=NAME"
    ),
    ClientDisconnect: _failure(400, "the request ended early"),  # which is not received
    StoreBusy: _failure(
        503, "the database is busy; ask again a little later", {"Retry-After": "10"}
    ),
    StoreError: _failure(503, "the letters cannot be had now", {"Retry-After": str(WAIT)}),
    Exception: unexpected_failure,
}


def _document(copy: LetterCopy) -> LetterDocument:
    return letter_document(copy.message, copy.attachments, copy.decision, copy.delivery)


def _reason(body: bytes) -> str:
    """Return the reason for a rejection; empty if the body has none. Raises ValueError."""
    match json.loads(body) if body else {}:
        case {"reason": str(reason)}:
            pass
        case {"reason": None}:
            reason = ""
        case dict(others) if "reason" not in others:
            reason = ""
        case _:
            raise ValueError("not an object, or not a text")
    # JSON can hold half of a surrogate pair, a database cannot
    return reason.strip()[:_LONGEST_REASON].encode("utf-8", "replace").decode()


def _check_parameters(request: Request, known: Sequence[str]) -> None:
    """Raise _BadParameter if the address has an unknown parameter, or one more than once."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            words = f"one of: {', '.join(known)}" if known else "none at this address"
            raise _BadParameter(f"{name[:_LONGEST_NAME]!r} is not a parameter; use {words}")
        if names.count(name) > 1:
            raise _BadParameter(f"the parameter {name!r} is there more than once")


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(_PAGE))
    if not (re.fullmatch("[0-9]{1,3}", text) and 1 <= int(text) <= _LARGEST_PAGE):
        raise _BadParameter(f"limit is not a whole number from 1 to {_LARGEST_PAGE}")
    return int(text)


def _after(request: Request) -> tuple[datetime, int] | None:
    text = request.query_params.get("cursor")
    try:
        return cursor_place(text) if text else None
    except ValueError as error:
        raise _BadParameter("cursor is not one of this list's; begin again without it") from error


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError as error:
        raise NotFound("the id in the address is not a valid id") from error


def _refused(verdict: TokenVerdict) -> Response:
    if verdict is TokenVerdict.TOO_MANY:
        return problem(
            429,
            "the token is wrong, and so were many before it",
            {"Retry-After": str(WAIT), "Connection": "close"},
        )
    return problem(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
