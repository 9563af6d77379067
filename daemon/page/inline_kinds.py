"""Which attachments a browser may show itself: by their first bytes, never by what was said."""

from __future__ import annotations

_KINDS = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
)
"""Beginnings of files that cannot run anything in the page's name. Never SVG, HTML, XML, Office."""
LONGEST = max(len(beginning) for beginning, _ in _KINDS)
"""How many of a file's first bytes decide."""


def inline_type(start: bytes) -> str:
    """Return the media type by which a file that begins with these `LONGEST` bytes may be shown.

    It is empty if the file is to be saved only.
    """
    return next((kind for beginning, kind in _KINDS if start.startswith(beginning)), "")
