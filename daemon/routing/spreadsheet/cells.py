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

YES_AND_NO = {"": ("true", "false"), "en": ("yes", "no"), "nb": ("ja", "nei")}
"""How a sheet in each language writes true and false; without a language as in routing.toml."""
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
        return YES_AND_NO[language][0 if value else 1]
    if isinstance(value, list):
        return "\n".join(quoted(each, among_others=True) for each in value)
    return quoted(value, among_others=False) if isinstance(value, str) else str(value)


def from_cell(column: str, annotation: Any, cell: Cell) -> Any:
    """Return the value for the field of this name and type. Raises Unreadable."""
    wanted = list(_types(annotation))  # a list, because not everything in annotations can be hashed
    if date in wanted:
        return _day(cell)
    if bool in wanted:
        return true_or_false(cell)
    if column == "services" and type(cell) is date:
        cell = _service_made_a_month(cell)
    if not isinstance(cell, str):
        raise _changed(cell)
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


def _changed(cell: date | bool | Doubtful) -> Unreadable:
    """Return the error for a cell that Excel has turned into something else."""
    if isinstance(cell, Doubtful) and not cell.converted:
        return Unreadable(
            f"the cell holds {cell.made}{cell.text and f': {cell.text}'}",
            "Enter the value itself, in a cell formatted as text",
        )
    made = (
        cell.made
        if isinstance(cell, Doubtful)
        else "true or false"
        if isinstance(cell, bool)
        else "a date"
    )
    return Unreadable(
        f"Excel has turned this cell into {made}: {cell}",
        "Format the cell as text, and enter the value again",
    )


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)


def true_or_false(cell: Cell) -> bool:
    """Return yes or no, also as a Norwegian Excel writes it. Raises Unreadable."""
    if isinstance(cell, Doubtful):
        raise _changed(cell)
    found = _TRUE_OR_FALSE.get(unquoted(str(cell)).lower())
    if found is None:
        raise Unreadable(f"{str(cell)!r} must be true or false", "Write true or false")
    return found


def _day(cell: Cell) -> date:
    """Return a day written as here (2026-12-21), or as a Norwegian Excel writes it (21.12.2026)."""
    if isinstance(cell, date):
        return cell
    if not isinstance(cell, str):
        raise _changed(cell)
    text = unquoted(cell)
    try:
        if found := re.fullmatch(r"(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})", text, re.ASCII):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(text)
    except ValueError as error:
        raise Unreadable(f"{text!r} is not a date", "Write it as 2026-12-21") from error
