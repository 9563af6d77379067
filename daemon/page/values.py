"""Values that come in an address or a form: what they are, or nothing."""

from __future__ import annotations

from uuid import UUID

_DIGITS = 15  # more than any count or number of a row has


def number_of(text: str) -> int:
    """Return the number that the text is; 0 if it is none, or larger than any count."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0


def known_id(text: str) -> UUID | None:
    """Return the id that the text is; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
