"""The pull API's description in OpenAPI 3.1. It needs no token: it says what the documents say."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

import daemon
from daemon.web.digests import digest_headers_of

DESCRIPTION = Path(daemon.__file__).parents[1] / "docs" / "openapi.json"
"""In a checkout as in the wheel."""


async def describe(request: Request) -> Response:
    """Return the description."""
    content = await run_in_threadpool(DESCRIPTION.read_bytes)
    headers = digest_headers_of(request, content)
    return Response(content, media_type="application/json", headers=headers)
