"""What SQLite keeps of moments and JSON, the same text that SQLAlchemy writes, for less; and texts.

A letter has some thirty of them, and most of its JSON is empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.dialects.sqlite import DATETIME

from daemon.core.outside_values import json_from

_TEXT = len("2026-11-29 23:05:00.000000")


class _Moment(DATETIME):
    """SQLAlchemy's type, with another function for writing."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:  # noqa: ARG002
        """Return the function that writes a moment, which is aware and in UTC."""
        return _moment


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(" ", "microseconds")[:_TEXT]


def write_moments_fast(dialect: Dialect) -> None:
    """Have the dialect of SQLite write moments so."""
    dialect.colspecs = {**dialect.colspecs, DateTime: _Moment}


def any_text(raw: bytes) -> str:
    """Return a stored text.

    If it is not UTF-8, which only another program can have written, no row that has it would be
    read: so it is a text that the service stores nowhere, because it has NUL.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"\0{raw.decode(errors='backslashreplace')}"


def json_text(value: object) -> str:
    """Return the value as JSON."""
    if value is None:
        return "null"
    if value == [] and isinstance(value, list):
        return "[]"
    return "{}" if value == {} else json.dumps(value)


def json_of(text: str) -> Any:
    """Parse stored JSON.

    JSON that an earlier version stored too deep to parse is cut, so that the rest can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        return json_from(text)
