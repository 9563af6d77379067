"""The options that every file drop has, wherever it is."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from connectors.drops.names import DEFAULT_TEMPLATE, checked_template
from daemon.core.durations import duration
from daemon.core.optional_libraries import need_library
from daemon.core.settings import DestinationSettings

_FLAT_MARKER = ".ready"
_SUFFIX = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9_-]{0,15}")
_USED_SUFFIXES = frozenset({".json", ".xml", ".pdf", ".csv", ".ok", ".err", ".old"})


def _checked_marker(suffix: str) -> str:
    if suffix in {"", "none"}:
        return suffix
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(
            f"is not a valid suffix of a file name: {suffix!r}; write a dot, then letters or "
            'digits, such as ".ready"'
        )
    if suffix.lower() in _USED_SUFFIXES:
        raise ValueError(
            f'is {suffix}, which other files in the drop use; choose another, such as ".ready"'
        )
    return suffix


def _checked_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    if "json" not in formats or len(set(formats)) < len(formats):
        raise ValueError(
            'must contain "json", by which a letter is recognised, and no format twice'
        )
    return formats


def _duration_or_none(text: object) -> timedelta | None:
    return None if text is None or text == "" else duration(text)


def _checked_mode(text: str) -> str:
    """Require octal digits that let the owner read and write. Raises ValueError."""
    if not re.fullmatch(r"0?[67][0-7]{2}", text):
        raise ValueError(
            f"is not a file mode that lets the owner read and write: {text!r}; write octal digits, "
            'such as "0640"'
        )
    return text


Mode = Annotated[str, AfterValidator(_checked_mode)]
"""The mode of a file, in octal digits."""


class DropSettings(DestinationSettings):
    """What is dropped, under which names, and whether it has to be picked up in time."""

    layout: Literal["folder", "flat", "pdf-only", "csv"] = "folder"
    name: Annotated[str, AfterValidator(checked_template)] = DEFAULT_TEMPLATE
    marker: Annotated[str, AfterValidator(_checked_marker)] = ""
    """The suffix of an empty file that comes last; empty for the layout's own (`.ready` for flat,
    otherwise none), `none` for none.
    """
    formats: Annotated[
        tuple[Literal["json", "arkivmelding", "fiks-arkiv"], ...], AfterValidator(_checked_formats)
    ] = ("json",)
    letter_pdf: bool = False
    await_pickup: Annotated[timedelta | None, BeforeValidator(_duration_or_none)] = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.layout == "pdf-only" and self.formats != ("json",):
            raise ValueError(
                "the layout pdf-only drops only PDFs; leave formats out, or choose another layout"
            )
        if self.letter_pdf or self.layout == "pdf-only":
            need_library("fpdf", "pdf")
        return self

    @property
    def pickup_limit(self) -> timedelta | None:
        """How long a letter may wait for pickup."""
        return self.await_pickup

    @property
    def marker_suffix(self) -> str:
        """The marker's suffix, or an empty text for none."""
        own = _FLAT_MARKER if self.layout == "flat" else ""
        return own if self.marker == "" else self.marker.removeprefix("none")
