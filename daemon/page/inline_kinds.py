"""Which attachments a browser may show itself: by their first bytes, never by what was said."""

from __future__ import annotations

from pathlib import Path

_KINDS = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
)
"""Beginnings of files that cannot run anything in the page's name. Never SVG, HTML, XML, Office."""
_LONGEST = max(len(beginning) for beginning, _ in _KINDS)


def inline_type(path: Path) -> str:
    """Return the media type by which the file may be shown; empty if it is to be saved only."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST)
    except OSError:
        return ""
    return next((kind for beginning, kind in _KINDS if start.startswith(beginning)), "")
