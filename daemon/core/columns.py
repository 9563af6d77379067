"""The type of a column that keeps an enum."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Enum


def enum_column(kind: type[StrEnum]) -> Enum:
    """Return a column type for the values of an enum, checked by SQLAlchemy.

    SQLModel would store the members' names.
    """
    return Enum(
        kind,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        length=20,
        name=kind.__name__.lower(),
    )
