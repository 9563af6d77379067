"""Altinn's exchange of a Maskinporten token for one of its own, which lasts longer.

Source: Altinn/altinn-authentication AuthenticationController.cs, `exchange/{tokenProvider}`.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

from connectors.sandbox.altinn3.tokens import Bearer, Tokens, bearer_text
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import Request, Response

_LEEWAY = timedelta(seconds=10)
_DROPPED = {"aud", "iss", "client_amr", "sid", "jti", "exp", "iat", "nbf"}
_OLD_HEADER = "x-altinn-enterpriseuser-authentication"


class Exchange:
    """Answers `GET /authentication/api/v1/exchange/{provider}`."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self.lifetime = timedelta(minutes=30)
        self._tokens = tokens
        self._clock = clock

    def answer(self, request: Request, provider: str) -> Response:
        """Return the token: bare, or as a JSON string for callers that accept JSON."""
        if provider != "maskinporten":
            return Response(
                status=400,
                body=b"Invalid provider",
                headers=(("Content-Type", "text/plain; charset=utf-8"),),
            )
        if _OLD_HEADER in request.headers:
            return _gone()
        text = bearer_text(request.headers.get("authorization"))
        bearer = self._tokens.read(text, leeway=_LEEWAY) if text else None
        if not bearer or bearer.issuer != "maskinporten" or not bearer.claims.get("consumer"):
            return Response(status=401)
        token = self.issue(bearer)
        if "application/json" in request.headers.get("accept", ""):
            return Response(
                status=200,
                body=json.dumps(token).encode(),
                headers=(("Content-Type", "application/json; charset=utf-8"),),
            )
        return Response(
            status=200,
            body=token.encode(),
            headers=(("Content-Type", "text/plain; charset=utf-8"),),
        )

    def issue(self, bearer: Bearer) -> str:
        """Issue Altinn's token for the bearer of a Maskinporten token."""
        return self._tokens.issue("altinn", self._claims(bearer), self.lifetime)

    def _claims(self, bearer: Bearer) -> dict[str, Any]:
        kept = {name: value for name, value in bearer.claims.items() if name not in _DROPPED}
        return {
            **kept,
            "nbf": int(self._clock.now().timestamp()),
            "sid": str(uuid4()),
            "urn:altinn:orgNumber": bearer.claims["consumer"]["ID"].removeprefix("0192:"),
            "urn:altinn:authenticatemethod": "maskinporten",
            "urn:altinn:authlevel": 3,
        }


def _gone() -> Response:
    problem = {"title": "Gone", "status": 410, "detail": "Enterprise users are no longer supported"}
    return Response(
        status=410,
        body=json.dumps(problem).encode(),
        headers=(("Content-Type", "application/problem+json"),),
    )
