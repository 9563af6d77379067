"""Secrets of sessions and log-in links: the browser has the token, the database its hash."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32


def new_token() -> str:
    """Return a new token of 256 random bits, in characters that need no quoting in an address."""
    return secrets.token_urlsafe(_BYTES)


def token_id(token: str) -> str:
    """Return the id under which the token's row is stored. Any text may be asked for."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
