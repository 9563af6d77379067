"""Digests of what the pull API returns (RFC 9530), by which a client verifies what it received."""

from __future__ import annotations

import base64
import hashlib

from starlette.requests import Request


def digest_headers(request: Request, sha256: str) -> dict[str, str]:
    """Return the headers with the digest of something whose SHA-256, in hexadecimal, is given.

    Of a part of it (`Range`), the digest of the whole is all that is known beforehand.
    """
    value = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
    whole = request.method == "GET" and "range" not in request.headers
    return {"Repr-Digest": value, **({"Content-Digest": value} if whole else {})}


def digest_headers_of(request: Request, content: bytes) -> dict[str, str]:
    """Return the same headers for bytes that are at hand."""
    return digest_headers(request, hashlib.sha256(content).hexdigest())
