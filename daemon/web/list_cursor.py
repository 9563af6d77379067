"""Cursors: where the next page of a list begins, as text that a client passes back unread."""

from __future__ import annotations

import base64
import re
from datetime import datetime

Place = tuple[datetime, int]
_PLACE = re.compile(r"(\S+\+00:00) ([0-9]{1,18})")


def cursor_text(place: Place) -> str:
    """Return the place as text that needs no escaping in an address; its time is in UTC."""
    moment, number = place
    text = base64.urlsafe_b64encode(f"{moment.isoformat()} {number}".encode()).decode()
    return text.rstrip("=")


def cursor_place(text: str) -> Place:
    """Return the place that `cursor_text` made the text of. Raises ValueError."""
    padded = text + "=" * (-len(text) % 4)
    found = _PLACE.fullmatch(base64.urlsafe_b64decode(padded).decode())
    if not found:
        raise ValueError(text)
    return datetime.fromisoformat(found[1]), int(found[2])
