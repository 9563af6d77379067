"""Converts one value of the table to one spreadsheet cell and back.

This withstands whatever a spreadsheet program does to it in between. A cell is text, or what Excel
has made of it: a date, a truth value, something doubtful. Text that Excel would take for a number,
a date or a formula is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args, get_origin

from daemon.core.dpv import find_service
from daemon.core.folding import readable
from daemon.routing.spreadsheet.quoting import Unreadable, quoted, split, unquoted
from daemon.routing.spreadsheet.wording import (
    EXAMPLE,
    EXCELS_TRUTHS,
    YES_AND_NO,
    day_text,
    yes_or_no,
)
from daemon.routing.validation.senders import why_never_a_sender


@dataclass(frozen=True)
class Doubtful:
    """A cell whose original text cannot be known.

    `made` says what a spreadsheet program has made of it, `text` how it shows that.
    """

    made: str
    text: str
    converted: bool = False
    """Whether a plain value was converted, rather than an error or a formula entered."""

    def __str__(self) -> str:
        return self.text or "?"


Cell = str | date | bool | Doubtful

_TRUE_OR_FALSE = {
    **dict.fromkeys(("true", "sann", "ja", "yes", "1"), True),
    **dict.fromkeys(("false", "usann", "nei", "no", "0"), False),
}


def to_cell(value: Any, language: str = "") -> str:
    """Return the value, as the rows of a table have it, as text.

    Each of several values has its own line.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return yes_or_no(value, language)
    if isinstance(value, date):
        return day_text(value, language)
    if isinstance(value, list):
        return "\n".join(quoted(each, among_others=True) for each in value)
    return quoted(value, among_others=False) if isinstance(value, str) else str(value)


def from_cell(column: str, annotation: Any, cell: Cell, language: str = "") -> Any:
    """Return the value for the field of this name and type.

    Raises Unreadable, in the words of a sheet in this language.
    """
    wanted = list(_types(annotation))  # a list, because not everything in annotations can be hashed
    if date in wanted:
        return _day(cell, language)
    if bool in wanted:
        return true_or_false(cell, language)
    if column == "services" and type(cell) is date:
        cell = _service_made_a_month(cell)
    if not isinstance(cell, str):
        raise _changed(cell, language)
    if get_origin(annotation) is tuple:
        return [_one_of(column, value) for value in split(cell)]
    return unquoted(cell, str.strip) if column == "title_matches" else unquoted(cell)


def _one_of(column: str, value: str) -> str:
    """Return one of several values. Raises Unreadable."""
    if column not in {"senders", "parties"}:
        return value
    digits = readable(value).replace(" ", "")
    if digits.isdigit():
        return digits
    if column == "senders" and (why := why_never_a_sender(value)):
        raise Unreadable(*why)
    return value


def _service_made_a_month(day: date) -> Cell:
    """Return the service that Excel took for a month: of 4255/8 it makes August of the year 4255.

    No other date can be meant there.
    """
    code = f"{day.year}/{day.month}"
    return code if day.day == 1 and find_service(code) else day


def _changed(cell: date | bool | Doubtful, language: str) -> Unreadable:
    """Return the error for a cell that Excel has turned into something else."""
    if isinstance(cell, Doubtful) and not cell.converted:
        return Unreadable(
            f"the cell holds {cell.made}{cell.text and f': {cell.text}'}",
            "Enter the value itself, in a cell formatted as text",
        )
    if isinstance(cell, Doubtful):
        made = f"{cell.made}: {cell}"
    elif isinstance(cell, bool):
        made = f"true or false: {EXCELS_TRUTHS[language][0 if cell else 1]}"
    else:
        made = f"a date: {day_text(cell, language)}"
    return Unreadable(
        f"Excel has turned this cell into {made}",
        "Format the cell as text, and enter the value again",
    )


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)


def true_or_false(cell: Cell, language: str = "") -> bool:
    """Return yes or no, also as a Norwegian Excel writes it. Raises Unreadable."""
    if isinstance(cell, Doubtful):
        raise _changed(cell, language)
    found = _TRUE_OR_FALSE.get(unquoted(str(cell)).lower())
    if found is None:
        words = " or ".join(YES_AND_NO[language])
        raise Unreadable(f"{str(cell)!r} must be {words}", f"Write {words}")
    return found


def _day(cell: Cell, language: str) -> date:
    """Return a day written as here (2026-12-21), or as a Norwegian Excel writes it (21.12.2026)."""
    if isinstance(cell, date):
        return cell
    if not isinstance(cell, str):
        raise _changed(cell, language)
    text = unquoted(cell)
    try:
        if found := re.fullmatch(r"(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})", text, re.ASCII):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(text)
    except ValueError as error:
        example = day_text(EXAMPLE, language)
        raise Unreadable(f"{text!r} is not a date", f"Write it as {example}") from error
