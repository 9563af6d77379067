"""The simulated Maskinporten: a token endpoint that verifies each grant as the real one does.

Rules and error codes: felleslosninger/docs `_docs/Maskinporten/maskinporten_protocol_jwtgrant.md`,
`maskinporten_func_systembruker.md` and `maskinporten_feilsoking.md`. Which HTTP status belongs to a
code is not documented; only the body tells.

The form of a refusal, and its sentences, are those that users of the real one have published in
2024 and 2025 (connectors/altinn3/token_refusals.py says where): a sentence, `(trace_id: …)`, and
for most an `error_uri` that ends with the code. Where no sentence is published (a client that is
switched off, a grant that lasts too long) the sandbox has one of its own.
"""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import parse_qs
from uuid import uuid4

from joserfc import jws
from joserfc.errors import JoseError

from connectors.sandbox.altinn3.access import Access, Client, SystemUser
from connectors.sandbox.altinn3.tokens import SYSTEM_USER, Tokens, rsa_key
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import Request, Response
from daemon.core.organisation import organisation_number

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ALGORITHMS = ["RS256", "RS384", "RS512"]
_TOLERANCE = 10
_LONGEST_GRANT = 120
_DETAIL_FIELDS = {"type", "systemuser_org", "externalRef"}
_JSON = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_FAILED = "Invalid assertion. Client authentication failed."


class Refusal(Exception):
    """A grant that is not honoured. `code` is empty where the real one gives no page."""

    def __init__(self, error: str, code: str, text: str, *, status: int = 400) -> None:
        self.error = error
        self.code = code
        self.text = text
        self.status = status
        super().__init__(text)


class Maskinporten:
    """Answers the token endpoint and the metadata.

    `issuer` ends with a slash; grants must name it as their audience. `codes` may be set: where a
    refusal has its code, in `error_uri` as the real one (link), also in the sentence (text), or
    nowhere (none).
    """

    def __init__(self, issuer: str, access: Access, tokens: Tokens, clock: Clock) -> None:
        self.issuer = issuer
        self.token_lifetime = timedelta(seconds=119)
        self.codes: Literal["link", "text", "none"] = "link"
        self._access = access
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()
        self._used: set[tuple[str, str]] = set()

    def token(self, request: Request) -> Response:
        """`POST /token`."""
        try:
            return self._grant(_assertion(request))
        except Refusal as refusal:
            return self._refused(refusal)

    def metadata(self, _request: Request) -> Response:
        """`GET /.well-known/oauth-authorization-server`."""
        document = {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}token",
            "jwks_uri": f"{self.issuer}jwk",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "grant_types_supported": [GRANT_TYPE],
            "token_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
            "authorization_details_types_supported": [SYSTEM_USER],
        }
        return Response(status=200, body=json.dumps(document).encode(), headers=_JSON)

    def keys(self, _request: Request) -> Response:
        """`GET /jwk`: the keys that tokens are signed with."""
        body = json.dumps({"keys": [rsa_key("maskinporten").as_dict(private=False)]})
        return Response(status=200, body=body.encode(), headers=_JSON)

    def issue(self, client: Client, scopes: str, user: SystemUser | None) -> str:
        """A token for the client, as the system user if there is one."""
        return self._tokens.issue(
            "maskinporten", _token_claims(client, scopes, user), self.token_lifetime
        )

    def _refused(self, refusal: Refusal) -> Response:
        code = f" {refusal.code}" if refusal.code and self.codes == "text" else ""
        body = {
            "error": refusal.error,
            "error_description": f"{refusal.text}{code} (trace_id: {uuid4().hex})",
        }
        if refusal.code and self.codes != "none":
            body["error_uri"] = f"{self.issuer}errors/{refusal.code}"
        return Response(status=refusal.status, body=json.dumps(body).encode(), headers=_JSON)

    def _grant(self, assertion: str) -> Response:
        client, claims = self._verified(assertion)
        self._check_audience(claims)
        self._check_times(claims)
        scopes = _scopes(claims, client)
        user = self._system_user(claims, client)
        self._use_once(client, claims, assertion)
        seconds = int(self.token_lifetime.total_seconds())
        token = self.issue(client, scopes, user)
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": scopes,
        }
        return Response(status=200, body=json.dumps(answer).encode(), headers=_JSON)

    def _verified(self, assertion: str) -> tuple[Client, dict[str, Any]]:
        header, claims = _read_unverified(assertion)
        client = self._access.client(str(claims.get("iss")))
        if not client:
            raise Refusal("invalid_grant", "MP-100", _FAILED)
        if not client.enabled:
            raise Refusal("invalid_grant", "MP-100", f"{_FAILED} The client is disabled.")
        if "x5c" in header:
            raise Refusal("invalid_grant", "MP-123", f"{_FAILED} Invalid JWT header x5c.")
        registered = client.keys.get(str(header.get("kid")))
        if not registered:
            raise Refusal(
                "invalid_grant", "", f"{_FAILED} Unknown key identifier (kid) for client."
            )
        if registered.expires and registered.expires <= self._clock.now():
            raise Refusal("invalid_grant", "MP-121", f"{_FAILED} Expired key.")
        try:
            jws.deserialize_compact(assertion, registered.key, algorithms=_ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise Refusal("invalid_grant", "MP-124", f"{_FAILED} Invalid JWT signature.") from error
        return client, claims

    def _check_audience(self, claims: dict[str, Any]) -> None:
        if claims.get("aud") != self.issuer:
            raise Refusal("invalid_grant", "MP-110", f"{_FAILED} Invalid JWT claim aud.")

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._clock.now().timestamp()
        issued, ends = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int | float) or not isinstance(ends, int | float):
            raise _invalid_parameter()
        if issued > now + _TOLERANCE:
            raise Refusal("invalid_grant", "", "Issue time is after now")
        if ends <= now - _TOLERANCE:
            raise Refusal("invalid_grant", "MP-130", f"{_FAILED} JWT is expired.")
        if ends - issued > _LONGEST_GRANT:
            raise Refusal(
                "invalid_request",
                "MP-011",
                "Invalid assertion. Invalid parameter value: exp is more than 120 seconds "
                "after iat",
            )

    def _use_once(self, client: Client, claims: dict[str, Any], assertion: str) -> None:
        """A grant is known by its jti, or without one by its text."""
        mark = (client.id, str(claims.get("jti") or assertion))
        with self._lock:
            if mark in self._used:
                raise Refusal("invalid_grant", "MP-012", "Grant is used before")
            self._used.add(mark)

    def _system_user(self, claims: dict[str, Any], client: Client) -> SystemUser | None:
        if "authorization_details" not in claims:
            return None
        party, reference = _read_details(claims["authorization_details"])
        user = self._access.find_user(client.id, party, reference)
        if not user:
            raise _no_system_user()
        return user


def _assertion(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal("invalid_request", "MP-011", "The request must be form-encoded")
    form = parse_qs(request.body.decode("utf-8", "replace"))
    if form.get("grant_type") != [GRANT_TYPE]:
        raise Refusal("invalid_request", "MP-011", f"grant_type must be {GRANT_TYPE}")
    found = form.get("assertion", [])
    if len(found) != 1:
        raise Refusal("invalid_request", "MP-011", "assertion is missing, or there are several")
    return found[0]


def _read_unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        message = jws.extract_compact(assertion.encode())
        claims = json.loads(message.payload)
    except (JoseError, ValueError) as error:
        raise _invalid_parameter() from error
    if not isinstance(claims, dict):
        raise _invalid_parameter()
    return message.headers(), claims


def _invalid_parameter() -> Refusal:
    return Refusal("invalid_request", "MP-011", "Invalid assertion. Invalid parameter value")


def _scopes(claims: dict[str, Any], client: Client) -> str:
    asked = str(claims.get("scope") or "").split()
    if not asked:
        raise Refusal("invalid_request", "MP-011", "scope is required")
    missing = [scope for scope in asked if scope not in client.scopes]
    if missing:
        raise Refusal(
            "invalid_scope",
            "MP-200",
            f"Token request contains invalid scopes for client, {' '.join(missing)}",
        )
    return " ".join(asked)


def _read_details(details: Any) -> tuple[str, str | None]:
    """The party and the external reference that `authorization_details` ask for."""
    if not isinstance(details, list) or len(details) != 1 or not isinstance(details[0], dict):
        raise _no_system_user()
    detail = details[0]
    if detail.get("type") != SYSTEM_USER:
        raise Refusal(
            "invalid_authorization_details",
            "MP-301",
            "Unknown authorization details type",
        )
    holder = detail.get("systemuser_org")
    unknown = (detail.keys() - _DETAIL_FIELDS) | (
        holder.keys() - {"authority", "ID"} if isinstance(holder, dict) else set()
    )
    if unknown:
        raise Refusal(
            "invalid_authorization_details",
            "MP-302",
            f"Unknown fields in the authorization details: {' '.join(sorted(unknown))}",
        )
    return _party(holder), detail.get("externalRef")


def _party(holder: Any) -> str:
    text = (
        holder.get("ID")
        if isinstance(holder, dict) and holder.get("authority") == "iso6523-actorid-upis"
        else None
    )
    party = (
        organisation_number(text) if isinstance(text, str) and text.startswith("0192:") else None
    )
    if not party:
        raise _no_system_user()
    return party


def _no_system_user() -> Refusal:
    """The catch-all: client not on the system, reference left out or wrong, or another customer."""
    return Refusal(
        "invalid_altinn_customer_configuration",
        "MP-303",
        "Invalid authorization details values. No system user was found",
    )


def _token_claims(client: Client, scopes: str, user: SystemUser | None) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "scope": scopes,
        "client_amr": "private_key_jwt",
        "token_type": "Bearer",
        "client_id": client.id,
        "consumer": _actor(client.organisation),
    }
    if user:
        detail = {
            "type": SYSTEM_USER,
            "systemuser_id": [user.id],
            "systemuser_org": _actor(user.party),
            "system_id": f"{client.organisation}_postmottak",
        }
        claims["authorization_details"] = [detail]
    return claims


def _actor(organisation: str) -> dict[str, str]:
    return {"authority": "iso6523-actorid-upis", "ID": f"0192:{organisation}"}
