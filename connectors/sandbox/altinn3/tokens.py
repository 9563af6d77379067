"""Signed tokens as Maskinporten and Altinn issue them, and what a token says of its bearer.

Claims: Altinn/altinn-authentication AuthenticationController, felleslosninger/docs
`maskinporten_protocol_token.md`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from connectors.sandbox.clock import Clock
from daemon.core.organisation import organisation_number

Issuer = Literal["maskinporten", "altinn"]

SYSTEM_USER = "urn:altinn:systemuser"


_making = threading.Lock()


def rsa_key(name: str) -> RSAKey:
    """Return the key pair of that name.

    Made once for each process, because making one takes long. May be called from several threads,
    which get the same one.
    """
    with _making:
        return _new_key(name)


@functools.cache
def _new_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": f"sandbox-{name}", "use": "sig"}, private=True)


@dataclass(frozen=True, kw_only=True)
class Bearer:
    """Who presents a token."""

    issuer: Issuer
    claims: Mapping[str, Any]

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that the token carries."""
        return frozenset(str(self.claims.get("scope", "")).split())

    @property
    def system_user(self) -> str | None:
        """The id of the system user that acts, if one does."""
        details = self._details()
        return str(details["systemuser_id"][0]) if details else None

    @property
    def organisation(self) -> str | None:
        """The organisation that the bearer acts for: the system user's, or the client's own."""
        details = self._details()
        holder = details["systemuser_org"] if details else self.claims.get("consumer", {})
        return organisation_number(holder.get("ID"))

    @property
    def writes(self) -> bool:
        """Whether the bearer counts as a sender.

        Source: COM/Helpers/ClaimsPrincipalExtensions.cs, CallingAsSender.
        """
        return "altinn:correspondence.write" in str(self.claims.get("scope", ""))

    def _details(self) -> dict[str, Any] | None:
        found = self.claims.get("authorization_details") or []
        return found[0] if found else None


class Tokens:
    """Issues and reads the tokens of both issuers. May be used from any thread."""

    def __init__(self, clock: Clock, issuers: Mapping[Issuer, str]) -> None:
        self._clock = clock
        self._issuers = dict(issuers)
        self._lock = threading.Lock()
        self._issued: set[str] = set()
        self._revoked: set[str] = set()

    def issue(self, issuer: Issuer, claims: Mapping[str, Any], lifetime: timedelta) -> str:
        """Return a token with these claims and those that every token has."""
        now = self._clock.now()
        jti = str(uuid4())
        whole = {**claims, "iss": self._issuers[issuer], "jti": jti, **_lifetime(now, lifetime)}
        with self._lock:
            self._issued.add(jti)
        key = rsa_key(issuer)
        return jwt.encode({"alg": "RS256", "kid": key.kid}, whole, key)

    def revoke_all(self) -> None:
        """Refuse every token issued so far."""
        with self._lock:
            self._revoked |= self._issued

    def read(self, text: str, *, leeway: timedelta = timedelta()) -> Bearer | None:
        """Return the bearer of the token.

        None if the token is forged, malformed, revoked, or expired longer than `leeway` ago.
        """
        bearer = _verified(text)
        if not bearer or bearer.claims["iss"] != self._issuers[bearer.issuer]:
            return None
        with self._lock:
            revoked = bearer.claims["jti"] in self._revoked
        ended = self._clock.now().timestamp() >= bearer.claims["exp"] + leeway.total_seconds()
        return None if revoked or ended else bearer


def _lifetime(now: datetime, lifetime: timedelta) -> dict[str, int]:
    issued = int(now.timestamp())
    return {"iat": issued, "exp": issued + int(lifetime.total_seconds())}


@functools.lru_cache(maxsize=8192)
def _verified(text: str) -> Bearer | None:
    issuers: tuple[Issuer, ...] = ("altinn", "maskinporten")
    for issuer in issuers:
        try:
            return Bearer(
                issuer=issuer, claims=jwt.decode(text, rsa_key(issuer), algorithms=["RS256"]).claims
            )
        except (JoseError, ValueError):
            continue
    return None


def bearer_text(authorization: str | None) -> str | None:
    """Return the token in an `Authorization: Bearer` header, if there is one."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
