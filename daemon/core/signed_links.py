"""Signed links to one reminder: only its addressee was sent one. Pure.

A link carries the reminder's id and a part of an HMAC-SHA-256 over it (RFC 2104, truncated to 128
bits), in the alphabet of addresses.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from uuid import UUID

_SIGNED = 16  # bytes of the signature, and of an id
_LENGTH = 43  # characters: 32 bytes without padding


def signed(reminder: UUID, key: bytes) -> str:
    """Return what stands in the address of a link."""
    return urlsafe_b64encode(reminder.bytes + _signature(reminder.bytes, key)).decode().rstrip("=")


def reminder_of(text: str, key: bytes) -> UUID | None:
    """Return the reminder that a link was made for; None if it was not made with this key."""
    if len(text) != _LENGTH or not text.isascii():
        return None
    try:
        content = urlsafe_b64decode(f"{text}=")
    except (binascii.Error, ValueError):
        return None
    name, signature = content[:_SIGNED], content[_SIGNED:]
    return UUID(bytes=name) if hmac.compare_digest(signature, _signature(name, key)) else None


def _signature(name: bytes, key: bytes) -> bytes:
    return hmac.new(key, b"acknowledge " + name, sha256).digest()[:_SIGNED]
