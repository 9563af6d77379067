"""Correspondence's endpoints for recipients: who may call, what is accepted, and what is answered.

Sources: COR API/Controllers/CorrespondenceController.cs, API/Auth/DependencyInjection.cs,
API/Helpers/*Middleware.cs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from connectors.sandbox.altinn3 import views
from connectors.sandbox.altinn3.access import (
    PORTAL_SCOPE,
    READ_SCOPE,
    SERVICE_OWNER_SCOPE,
    WRITE_SCOPE,
    Access,
)
from connectors.sandbox.altinn3.correspondence import Caller, Correspondences, StorageFailure
from connectors.sandbox.altinn3.listing import BadRequest, guids, list_filters
from connectors.sandbox.altinn3.problems import Problem, exchange_first, unhandled
from connectors.sandbox.altinn3.tokens import Bearer, Tokens, bearer_text
from connectors.sandbox.http_server import Request, Response, Stream
from connectors.sandbox.letters import RawJson

BASE = "/correspondence/api/v1/correspondence"
_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_SAFE = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An endpoint: the tokens it accepts, its content type (None: undeclared), and its function."""

    takes: Literal["any", "altinn", "download"]
    produces: str | None
    answer: Callable[[CorrespondenceApi, Caller, Request, tuple[str, ...]], Response]


class CorrespondenceApi:
    """Answers requests to Correspondence. May be used from any thread."""

    def __init__(self, letters: Correspondences, access: Access, tokens: Tokens) -> None:
        self.letters = letters
        self.announce_lengths = False
        """Whether a download has a Content-Length. The real server does not promise it, so the
        sandbox does not send it either.
        """
        self._access = access
        self._tokens = tokens

    def answer(self, kind: str, request: Request, ids: tuple[str, ...]) -> Response:
        """Answer a request of one of the kinds in `ENDPOINTS`; `ids` are those in its path."""
        endpoint = ENDPOINTS[kind]
        bearer = self._admitted(endpoint, request)
        if isinstance(bearer, Response):
            return bearer
        refused = _not_acceptable(endpoint, request)
        response = refused or self._carry_out(endpoint, bearer, request, ids)
        return replace(response, headers=(*response.headers, *_SAFE))

    def _carry_out(
        self, endpoint: Endpoint, bearer: Bearer, request: Request, ids: tuple[str, ...]
    ) -> Response:
        try:
            return endpoint.answer(self, self._caller(bearer), request, ids)
        except Problem as problem:
            return problem.response()
        except BadRequest as bad:
            return bad.response
        except StorageFailure:
            return unhandled(request.path)

    def _admitted(self, endpoint: Endpoint, request: Request) -> Bearer | Response:
        """Return the bearer, or the response of a refusal.

        Such responses lack the headers that all others have.
        """
        authorization = request.headers.get("authorization")
        if endpoint.takes == "download" and not (authorization or "").startswith("Bearer"):
            return _login(request)
        text = bearer_text(authorization)
        bearer = self._tokens.read(text) if text else None
        if not bearer:
            challenge = 'Bearer error="invalid_token"' if text else "Bearer"
            return Response(status=401, headers=(("WWW-Authenticate", challenge),))
        if endpoint.takes != "any" and bearer.issuer == "maskinporten":
            return exchange_first()
        return bearer if _has_scope(endpoint, bearer) else Response(status=403)

    def _caller(self, bearer: Bearer) -> Caller:
        organisation = bearer.organisation
        if not organisation:
            raise Problem(4006)
        user = bearer.system_user
        return Caller(
            organisation=organisation,
            may_read=lambda party, resource: self._access.may_read(user, party, resource),
            sends=bearer.writes,
        )

    def list(self, caller: Caller, request: Request, _ids: tuple[str, ...]) -> Response:
        """Return the ids, and nothing else.

        Nothing is sent through the sandbox, so the sender's role finds nothing.
        """
        role, filters = list_filters(request.query, caller.organisation)
        found = self.letters.list(caller, filters)
        return _json({"ids": list(found) if role != "Sender" else []})

    def overview(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Return the letter; leaves a Fetched."""
        (letter_id,) = guids(correspondenceId=ids[0])
        with self.letters.lock:
            return _json(views.overview(self.letters.overview(caller, letter_id)))

    def details(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Return the letter and its history; leaves a Fetched."""
        (letter_id,) = guids(correspondenceId=ids[0])
        with self.letters.lock:
            return _json(views.details(self.letters.details(caller, letter_id)))

    def content(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Return the body as text; marks as read."""
        (letter_id,) = guids(correspondenceId=ids[0])
        record = self.letters.content(caller, letter_id)
        return Response(
            status=200,
            body=record.letter.body.encode(),
            headers=(("Content-Type", "text/plain; charset=utf-8"),),
        )

    def mark_read(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Mark as read and return the id."""
        (letter_id,) = guids(correspondenceId=ids[0])
        self.letters.mark_read(caller, letter_id)
        return _json(letter_id)

    def confirm(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Confirm and return the id; the status comes later."""
        (letter_id,) = guids(correspondenceId=ids[0])
        self.letters.confirm(caller, letter_id)
        return _json(letter_id)

    def purge(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Purge and return the id."""
        (letter_id,) = guids(correspondenceId=ids[0])
        self.letters.purge(caller, letter_id)
        return _json(letter_id)

    def download(self, caller: Caller, _request: Request, ids: tuple[str, ...]) -> Response:
        """Return the whole file, whatever a Range asks for."""
        letter_id, attachment_id = guids(correspondenceId=ids[0], attachmentId=ids[1])
        attachment = self.letters.download(caller, letter_id, attachment_id).attachment
        body = Stream(
            chunks=attachment.chunks(), length=attachment.length, chunked=not self.announce_lengths
        )
        return Response(status=200, body=body, headers=views.download_headers(attachment.name))


ENDPOINTS: dict[str, Endpoint] = {
    "list": Endpoint(takes="any", produces="application/json", answer=CorrespondenceApi.list),
    "overview": Endpoint(
        takes="any", produces="application/json", answer=CorrespondenceApi.overview
    ),
    "details": Endpoint(takes="any", produces="application/json", answer=CorrespondenceApi.details),
    "content": Endpoint(takes="altinn", produces="text/plain", answer=CorrespondenceApi.content),
    "markasread": Endpoint(
        takes="altinn", produces="application/json", answer=CorrespondenceApi.mark_read
    ),
    "confirm": Endpoint(
        takes="altinn", produces="application/json", answer=CorrespondenceApi.confirm
    ),
    "purge": Endpoint(takes="any", produces="application/json", answer=CorrespondenceApi.purge),
    "download": Endpoint(takes="download", produces=None, answer=CorrespondenceApi.download),
}


def _has_scope(endpoint: Endpoint, bearer: Bearer) -> bool:
    if READ_SCOPE in bearer.scopes:
        return True
    if endpoint.takes == "any":
        return WRITE_SCOPE in bearer.scopes and (
            bearer.issuer == "altinn" or SERVICE_OWNER_SCOPE in bearer.scopes
        )
    return endpoint.takes == "download" and PORTAL_SCOPE in bearer.scopes


def _not_acceptable(endpoint: Endpoint, request: Request) -> Response | None:
    """Apply the 406 rule: one part of Accept must be literally the type, or `*/*`.

    Source: API/Helpers/AcceptHeaderValidationMiddleware.cs.
    """
    accept = request.headers.get("accept")
    if not endpoint.produces or accept is None:
        return None
    offered = {endpoint.produces, "*/*"}
    if any(part.partition(";")[0].strip().lower() in offered for part in accept.split(",")):
        return None
    text = f"The Accept header must name {endpoint.produces} or */*."
    return Response(
        status=406, body=text.encode(), headers=(("Content-Type", "text/plain; charset=utf-8"),)
    )


def _login(request: Request) -> Response:
    """Redirect to the log-in: without a bearer token, a person is assumed.

    Source: COR API/Auth/CascadeAuthenticationHandler.cs.
    """
    return Response(
        status=302,
        headers=(("Location", f"/authentication/api/v1/openid/authorize?state={request.path}"),),
    )


def _json(document: Any) -> Response:
    return Response(status=200, body=_written(document).encode(), headers=_JSON)


def _written(document: Any) -> str:
    """Return JSON as the real server writes it.

    Half a surrogate pair is escaped, because UTF-8 has none.
    """
    raw: dict[str, str] = {}

    def place(value: RawJson) -> str:
        name = f"raw {uuid4()}"
        raw[f'"{name}"'] = value.text
        return name

    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=place)
    for name, value in raw.items():
        text = text.replace(name, value)
    return text.encode(errors="backslashreplace").decode()
