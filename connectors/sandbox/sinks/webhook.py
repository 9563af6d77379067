"""A web server on loopback that takes webhooks as an ERP would, with scripted responses.

It checks the signature, and keeps what it received.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from connectors.sandbox.http_server import LoopbackServer, Manner, Request, Response
from connectors.sandbox.loopback import Peer

_PATH = "/hooks/post"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How to answer one request."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    """Seconds before the answer."""
    manner: Manner = field(default_factory=Manner)
    """How the response is sent; a reset leaves a request that was taken but not acknowledged."""


@dataclass(frozen=True, kw_only=True)
class Hook:
    """One request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes
    verified: bool
    """Whether the signature was right; always true without a secret."""
    status: int
    """The status of the response."""
    at: datetime

    @property
    def id(self) -> str:
        """The `webhook-id`, which is the same in every repeat."""
        return self.headers.get("webhook-id", "")

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class WebhookSink(Peer):
    """A context manager that takes webhooks on 127.0.0.1.

    All methods may be called from any thread. With a `secret` (Standard Webhooks, `whsec_...`), a
    request with a wrong signature is answered with 401. With `tls` it speaks https. With `folder`,
    each body that was taken is also a file there, `0001.json` and so on. Any path is taken.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        secret: str | None = None,
        tls: ssl.SSLContext | None = None,
        folder: Path | None = None,
    ) -> None:
        self.usual = Reply()
        """The answer when nothing else is scripted; may be set."""
        self._verifier = Webhook(secret) if secret else None
        self._folder = folder
        self._script: deque[Reply] = deque()
        self._changed = threading.Condition()
        self._hooks: list[Hook] = []
        self._server = LoopbackServer(self._answer, port=port, tls=tls)

    @property
    def url(self) -> str:
        """Where to post to."""
        return f"{self._server.url}{_PATH}"

    def script(self, *replies: Reply) -> None:
        """Answer the next requests like this, in this order.

        A wrong signature gets 401 all the same, and uses up no reply.
        """
        with self._changed:
            self._script.extend(replies)

    @property
    def requests(self) -> tuple[Hook, ...]:
        """All requests so far, in the order in which they came."""
        with self._changed:
            return tuple(self._hooks)

    @property
    def taken(self) -> tuple[Hook, ...]:
        """Those that were answered with 2xx."""
        return tuple(hook for hook in self.requests if _is_success(hook.status))

    def wait_for(self, number: int, timeout: float = 10.0) -> bool:
        """Wait until this many requests came; return whether they did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._hooks) >= number, timeout)

    def _answer(self, request: Request) -> Response:
        verified = self._verified(request)
        reply = (
            self._next_reply() if verified else Reply(status=401, body=b"The signature is wrong")
        )
        self._keep(request, reply, verified=verified)
        if reply.delay:
            self._server.stopping.wait(reply.delay)
        return Response(
            status=reply.status,
            body=reply.body,
            headers=tuple(reply.headers.items()),
            manner=reply.manner,
        )

    def _verified(self, request: Request) -> bool:
        if not self._verifier:
            return True
        try:
            self._verifier.verify(request.body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True

    def _next_reply(self) -> Reply:
        with self._changed:
            return self._script.popleft() if self._script else self.usual

    def _keep(self, request: Request, reply: Reply, *, verified: bool) -> None:
        hook = Hook(
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=request.body,
            verified=verified,
            status=reply.status,
            at=datetime.now(UTC),
        )
        with self._changed:
            self._hooks.append(hook)
            if self._folder and _is_success(hook.status):
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / f"{len(self._hooks):04}.json").write_bytes(hook.body)
            self._changed.notify_all()


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's own bounds
