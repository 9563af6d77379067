"""Who may have a file of the pretend agency, and what it answers all others.

As real agencies do:

- `nav`: a Maskinporten token with exactly the agency's scope and a system user; anything else is a
  401 without a word, and so, with words, is a system user without the right. Source:
  navikt/sykepenger-im-lps-api, Application.kt, TokenValidationUtils.kt and SykmeldingRouting.kt.
- `altinn`: a token that Altinn has exchanged, as at Correspondence's downloads. Source: COR
  API/Auth/AltinnTokenEventsHelper.cs and CascadeAuthenticationHandler.cs.
- `signed`: the address itself, until it runs out; with a token beside it, it is refused. Source:
  the error codes of Azure's Blob service (AuthenticationFailed, InvalidAuthenticationInfo).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from connectors.sandbox.altinn3 import problems
from connectors.sandbox.altinn3.access import Access
from connectors.sandbox.altinn3.tokens import Bearer, Tokens, bearer_text
from connectors.sandbox.http_server import Response

Door = Literal["nav", "altinn", "signed"]
_TEXT = (("Content-Type", "text/plain; charset=UTF-8"),)
_XML = (("Content-Type", "application/xml"),)
_LOGIN = "https://login.example.no/oauth2/authorize"


class Doors:
    """Answers those who may not have a file. May be used from any thread.

    `door` may be set while it runs.
    """

    def __init__(
        self, door: Door, tokens: Tokens, access: Access, scope: str, now: Callable[[], datetime]
    ) -> None:
        self.door, self._tokens, self._access = door, tokens, access
        self._scope, self._now = scope, now

    def refusal(
        self, headers: Mapping[str, str], ends_at: datetime | None, needs: tuple[str, str] | None
    ) -> Response | None:
        """Return the refusal; None for whoever may have it.

        `ends_at` is when a signed address runs out, `needs` the party and the resource that the
        system user must have a right for.
        """
        if self.door == "signed":
            return self._signed("authorization" in headers, ends_at)
        text = bearer_text(headers.get("authorization"))
        bearer = self._tokens.read(text) if text else None
        refused = self._nav(bearer) if self.door == "nav" else self._altinn(bearer, text)
        if refused or needs is None:
            return refused
        if bearer and self._access.may_read(bearer.system_user, *needs):
            return None
        if self.door == "altinn":
            return problems.Problem(4001).response()
        return Response(status=401, body=b"Ikke tilgang til ressurs", headers=_TEXT)

    def _nav(self, bearer: Bearer | None) -> Response | None:
        is_right = (
            bearer is not None
            and bearer.issuer == "maskinporten"
            and bearer.claims.get("scope") == self._scope
            and bearer.system_user is not None
        )
        challenge = (("WWW-Authenticate", "Bearer"),)
        return None if is_right else Response(status=401, headers=challenge)

    def _altinn(self, bearer: Bearer | None, text: str | None) -> Response | None:
        if text is None:
            return Response(status=302, headers=(("Location", _LOGIN),))
        if bearer is None:
            challenge = (("WWW-Authenticate", 'Bearer error="invalid_token"'),)
            return Response(status=401, headers=challenge)
        if bearer.issuer != "altinn":
            return problems.exchange_first()
        return None if self._scope in bearer.scopes else Response(status=403)

    def _signed(self, has_token: bool, ends_at: datetime | None) -> Response | None:
        if has_token:
            return _fault(400, "InvalidAuthenticationInfo")
        if ends_at is not None and self._now() >= ends_at:
            return _fault(403, "AuthenticationFailed")
        return None


def _fault(status: int, code: str) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code></Error>'
    return Response(status=status, body=body.encode(), headers=_XML)
