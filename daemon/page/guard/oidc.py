"""Log-in through an OpenID Connect provider, by Authlib: code flow with PKCE, state and nonce.

The discovery document is read at each log-in, so that a change at the provider needs no restart. Of
it only the known fields are given to Authlib, which would take any other for an option of its own.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

from daemon.config.web import OidcSettings
from daemon.core.rights import Role

_DISCOVERY = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, 4
_TIMEOUT = 10.0  # seconds, for each step of a request
_LEEWAY = 60  # seconds by which the provider's clock may differ
_SIGNED_BY = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"})
"""Signatures by a key of the provider; never `none`, or by a secret that both sides have."""
_REASON = 200  # characters


class LoginRefused(Exception):
    """The provider, or what came back from it, does not let anybody in; says why, in English."""


@dataclass(frozen=True, kw_only=True)
class ProvenIdentity:
    """Whom the provider says that somebody is, and the roles that this brings."""

    name: str
    roles: tuple[Role, ...]


class Provider:
    """The provider of `[web.oidc]`."""

    def __init__(self, settings: OidcSettings, secret: str, callback: str) -> None:
        """Prepare it. `callback` is the address to which the provider sends browsers back."""
        self._settings, self._secret, self._callback = settings, secret, callback
        self._clients = _authlib()
        self._tls = ssl.create_default_context()  # the system's certificates, with your own CA

    async def begin(self, request: Request) -> tuple[Response, Mapping[str, Any]]:
        """Return an answer that leads to the provider, and the data that `finish` needs.

        Raises LoginRefused if the provider cannot be reached or says something else.
        """
        try:
            client = await self._client()
            request.scope["session"] = data = dict[str, Any]()
            return await client.authorize_redirect(request, self._callback), data
        except Exception as error:
            raise _refused(error) from error

    async def finish(self, request: Request, data: Mapping[str, Any]) -> ProvenIdentity:
        """Return who came back. Raises LoginRefused if anything is not as it must be."""
        try:
            client = await self._client()
            request.scope["session"] = dict(data)
            token = await client.authorize_access_token(
                request,
                claims_options={
                    "iss": {"essential": True, "value": self._settings.issuer},
                    "aud": {"essential": True, "value": self._settings.client_id},
                },
                leeway=_LEEWAY,
            )
        except Exception as error:
            raise _refused(error) from error
        return identity(self._settings, token.get("userinfo") or {})

    async def _client(self) -> Any:
        """Return Authlib's client for the provider as it describes itself now."""
        found = await self._discovered()
        methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = "client_secret_basic" in methods
        return self._clients().register(
            "provider",
            client_id=self._settings.client_id,
            client_secret=self._secret,
            authorize_url=found["authorization_endpoint"],
            access_token_url=found["token_endpoint"],
            jwks_uri=found["jwks_uri"],
            id_token_signing_alg_values_supported=_algorithms(found),
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": f"client_secret_{'basic' if basic else 'post'}",
                "verify": self._tls,
                "timeout": _TIMEOUT,
            },
        )

    async def _discovered(self) -> Mapping[str, Any]:
        address = self._settings.issuer.rstrip("/") + _DISCOVERY
        async with httpx.AsyncClient(verify=self._tls, timeout=_TIMEOUT) as http:
            found = (await http.get(address)).raise_for_status().json()
        if found["issuer"] != self._settings.issuer:
            raise LoginRefused(
                f"the provider says that its issuer is {found['issuer']!r}; write that in "
                "[web.oidc] if it is the right one"
            )
        return dict(found)


def _authlib() -> Any:
    """Return what makes Authlib's clients. Its import takes 0.1 s."""
    from authlib.deprecate import AuthlibDeprecationWarning

    with warnings.catch_warnings():
        # "use httpx2 instead": it works as well with httpx, which the project uses everywhere
        warnings.simplefilter("ignore", AuthlibDeprecationWarning)
        from authlib.integrations.starlette_client import OAuth
    return OAuth


def identity(settings: OidcSettings, claims: Mapping[str, Any]) -> ProvenIdentity:
    """Return whom the claims of a verified id token name. Raises LoginRefused if nobody."""
    name = claims.get(settings.name_claim)
    if not isinstance(name, str) or not name.strip():
        raise LoginRefused(f"the id token has no claim {settings.name_claim!r} with a name")
    if settings.name_claim == "email" and claims.get("email_verified") is False:
        raise LoginRefused("the provider has not verified the e-mail address")
    listed = claims.get(settings.role_claim)
    values = {listed} if isinstance(listed, str) else _texts(listed)
    brought = {role for value in values for role in settings.roles.get(value, ())}
    return ProvenIdentity(name=name, roles=tuple(role for role in Role if role in brought))


def _texts(listed: object) -> set[str]:
    return {each for each in listed if isinstance(each, str)} if isinstance(listed, list) else set()


def _algorithms(found: Mapping[str, Any]) -> Sequence[str]:
    """Return how an id token may be signed; RS256 if the provider does not say."""
    said = found.get("id_token_signing_alg_values_supported") or ["RS256"]
    return sorted(_SIGNED_BY.intersection(said)) or ["RS256"]


def _refused(error: Exception) -> LoginRefused:
    """Return why, for the log: what a provider sends can fail anywhere in the libraries."""
    if isinstance(error, LoginRefused):
        return error
    what = "the provider cannot be reached" if isinstance(error, httpx.HTTPError) else "refused"
    text = f"{what}: {type(error).__name__}: {error}"
    return LoginRefused("".join(filter(str.isprintable, text))[:_REASON])
