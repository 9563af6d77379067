"""The type of a column that keeps an enum."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Dialect, Enum

_Kind = TypeVar("_Kind", bound=StrEnum)


class _Values(Enum):
    """The values of an enum. Writing one that it does not have is an error; reading is not."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Return the function that makes a member of a text."""
        kind: type[StrEnum] = self.enum_class  # type: ignore[assignment]
        known: dict[str | None, StrEnum | None] = {each.value: each for each in kind}
        known[None] = None

        def member(value: str | None) -> StrEnum | None:
            try:
                return known[value]
            except KeyError:
                return unknown_member(kind, str(value))

        return member


def enum_column(kind: type[StrEnum]) -> Enum:
    """Return a column type for the values of an enum, checked by SQLAlchemy.

    SQLModel would store the members' names.
    """
    return _Values(
        kind,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        length=20,
        name=kind.__name__.lower(),
    )


def unknown_member(kind: type[_Kind], value: str) -> _Kind:
    """Return a member for a value that this version does not know.

    A node of a later version may have written it. It equals no member, and no branch takes it.
    """
    found = str.__new__(kind, value)
    found._name_ = found._value_ = value
    return found
