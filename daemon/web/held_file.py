"""A response with the bytes of an attachment, which stay on this machine until it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from daemon.store.content import ContentStore


class HeldFileResponse(FileResponse):
    """Sends an attachment, also a part of it (`Range`). The bytes come here first, where need be.

    Raises ContentMissing and StoreError when it is made.
    """

    def __init__(
        self,
        content: ContentStore,
        sha256: str,
        *,
        media_type: str,
        headers: Mapping[str, str],
        filename: str | None = None,
    ) -> None:
        self._held = ExitStack()
        path = self._held.enter_context(content.local_file(sha256))
        super().__init__(path, media_type=media_type, filename=filename, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and let the file go."""
        with self._held:
            await super().__call__(scope, receive, send)
