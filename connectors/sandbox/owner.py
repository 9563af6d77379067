"""A pretend agency that keeps the files of its letters itself, on loopback.

It is as awkward as the real ones: a log-in page or a redirect where a file was promised, addresses
that run out, and tokens with its own scope. What it was asked, it remembers: tokens above all.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import LoopbackServer, Request, Response
from connectors.sandbox.loopback import Peer

_HTML = (("Content-Type", "text/html; charset=utf-8"),)


@dataclass(frozen=True, kw_only=True)
class OwnedFile:
    """What is at a path."""

    content: bytes = b"%PDF-1.7 brev"
    media_type: str = "application/pdf"
    needs_token: bool = True
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class PretendOwner(Peer):
    """A context manager that serves on 127.0.0.1 from entry to exit. May be used from any thread.

    `files` may be set while it runs.
    """

    def __init__(self, *, port: int = 0, scope: str = "") -> None:
        """Refuse tokens without `scope`, if there is one; their signatures are not checked."""
        self._scope = scope
        self.files: dict[str, OwnedFile] = {}
        self._lock = threading.Lock()
        self._asked: list[Request] = []
        self._server = LoopbackServer(self._answer, port=port, clock=Clock())
        self.url = self._server.url
        """Without a slash at its end."""

    def add(self, path: str, file: OwnedFile) -> str:
        """Put a file there, and return its address."""
        self.files[path] = file
        return f"{self.url}{path}"

    @property
    def asked(self) -> tuple[Request, ...]:
        """The requests so far."""
        with self._lock:
            return tuple(self._asked)

    @property
    def tokens(self) -> list[str]:
        """The tokens that came with them."""
        return [
            each.headers["authorization"] for each in self.asked if "authorization" in each.headers
        ]

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self._asked.append(request)
        file = self.files.get(request.path)
        if file is None:
            return Response(status=404)
        if file.needs_token and "authorization" not in request.headers:
            return Response(status=200, body=b"<html>Logg inn</html>", headers=_HTML)
        if file.needs_token and not self._admits(request.headers["authorization"]):
            return Response(status=403)
        return Response(
            status=file.status,
            body=file.content,
            headers=(("Content-Type", file.media_type), *file.headers.items()),
        )

    def _admits(self, authorization: str) -> bool:
        if not self._scope:
            return True
        payload = authorization.removeprefix("Bearer ").split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return self._scope in str(claims.get("scope", "")).split()
