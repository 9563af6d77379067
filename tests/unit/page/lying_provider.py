"""An OpenID Connect provider on loopback that can be told to lie."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "one"})
CLIENT, SECRET = "client-1", "s3cret~with.signs"


@dataclass
class LyingProvider:
    """What it says, and what it was asked; tests change its parts."""

    issuer: str
    key: RSAKey = field(default_factory=lambda: KEY)
    signing_key: RSAKey | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    token: str | None = None
    no_id_token: bool = False
    asked: dict[str, str] = field(default_factory=dict)
    token_requests: list[Mapping[str, str]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.discovery,
        }

    def leave(self, location: str) -> dict[str, str]:
        """Be visited by a browser that the page sent here; return what it was asked."""
        self.asked = {key: value[0] for key, value in parse_qs(urlsplit(location).query).items()}
        return self.asked

    def answer(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Return the answer to a request for tokens, as the standards have it."""
        self.token_requests.append(form)
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        wanted = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if "client_secret_post" in self.discovery.get("token_endpoint_auth_methods_supported", ()):
            authorization = wanted if form.get("client_secret") == SECRET else ""
        if challenge != self.asked["code_challenge"] or authorization != wanted:
            return 400, {"error": "invalid_grant"}
        tokens = {"access_token": "access", "token_type": "Bearer"}
        return 200, tokens if self.no_id_token else {**tokens, "id_token": self._id_token()}

    def _id_token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "0001",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": self.asked["nonce"],
            "preferred_username": "Kari@Example.no",
            "roles": ["Postmottak.Reader"],
            **self.claims,
        }
        claims = {key: value for key, value in claims.items() if value is not None}
        if self.token is not None:
            return self.token
        if self.header["alg"] == "none":
            return f"{_part(self.header)}.{_part(claims)}."
        return jwt.encode(self.header, claims, self.signing_key or self.key)


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@contextmanager
def lying_provider(host: str = "127.0.0.1") -> Iterator[LyingProvider]:
    """Run one until the block ends; `host` is its name in addresses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/.well-known/openid-configuration"):
                self._send(200, provider.document())
            elif "/authorize?" in self.path:
                asked = provider.leave(self.path)
                self.send_response(302)
                back = urlencode({"code": "code", "state": asked["state"]})
                self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._send(200, {"keys": [provider.key.as_dict(private=False, use="sig")]})

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
            self._send(*provider.answer(form, self.headers.get("Authorization", "")))

        def _send(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = LyingProvider(issuer=f"http://{host}:{server.server_port}/tenant/v2.0")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
