"""Looking rows up by what people write: an id, or the beginning of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, false
from sqlmodel import col

from daemon.core.errors import NotFound, OperatorError
from daemon.core.outside_values import is_storable

Row = TypeVar("Row")

_NO_ID = UUID(int=0)
_LONGEST_SHOWN = 64  # characters of what was given as an id


def begins_with(column: UUID, name: str) -> ColumnElement[bool]:
    """Return whether the id in the column begins with `name`, which has four digits at least."""
    digits = name.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        return col(column) == _NO_ID
    return col(column).between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


def is_text(column: str, name: str) -> ColumnElement[bool]:
    """Return whether the column has this text, which may be one that no database can hold."""
    return col(column) == name if is_storable(name) else false()


def shown(name: str) -> str:
    """Return what was asked for in quotes, as far as an id would be."""
    return repr(name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…")


def only(found: Sequence[Row], what: str, where: str) -> Row:
    """Return the one that was found. Raises NotFound, or OperatorError if there are several."""
    if not found:
        raise NotFound(f"The {what} does not exist; list them with {where}")
    if len(found) > 1:
        raise OperatorError(f"There is more than one {what}; write more of the id")
    return found[0]
