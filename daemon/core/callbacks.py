"""What to call where a caller wants to hear of nothing."""

from __future__ import annotations


def do_nothing(*_reported: object) -> None:
    """Ignore what is reported."""
