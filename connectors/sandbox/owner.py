"""A pretend agency that keeps the files of its letters itself, on loopback.

It is as awkward as the real ones: a log-in page or a redirect where a file was promised, addresses
that run out, and tokens of its own kind and scope. It remembers what it was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connectors.sandbox.altinn3.access import Access
from connectors.sandbox.altinn3.tokens import Tokens
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import LoopbackServer, Request, Response
from connectors.sandbox.loopback import Peer
from connectors.sandbox.owner_doors import Door, Doors

_TEXT = (("Content-Type", "text/plain; charset=UTF-8"),)


@dataclass(frozen=True, kw_only=True)
class OwnedFile:
    """What is at a path."""

    content: bytes = b"%PDF-1.7 brev"
    media_type: str = "application/pdf"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, str] | None = None
    """The party and the resource that the caller's system user must have a right for, if any."""
    ends_at: datetime | None = None
    """When the address runs out, at the door `signed`."""


class PretendOwner(Peer):
    """A context manager that serves on 127.0.0.1 from entry to exit. May be used from any thread.

    `files` and `doors.door` may be set while it runs.
    """

    def __init__(
        self,
        tokens: Tokens,
        access: Access,
        clock: Clock,
        *,
        port: int = 0,
        scope: str = "",
        door: Door = "nav",
    ) -> None:
        """Let in whom the `door` lets in, with tokens as `tokens` knows them, for `scope`."""
        self.doors = Doors(door, tokens, access, scope, clock.now)
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
            return Response(status=404, body=b"Dokumentet ble ikke funnet.", headers=_TEXT)
        refused = self.doors.refusal(request.headers, file.ends_at, file.needs)
        return refused or Response(
            status=file.status,
            body=file.content,
            headers=(("Content-Type", file.media_type), *file.headers.items()),
        )
