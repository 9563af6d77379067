"""A callback that does nothing, for callers that need no reports."""

from __future__ import annotations


def do_nothing(*_reported: object) -> None:
    """Ignore what is reported."""
