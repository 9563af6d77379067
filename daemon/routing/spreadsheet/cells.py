"""Converts one value of the table to one spreadsheet cell and back.

This withstands whatever a spreadsheet program does to it in between. A cell is text, or what Excel
has made of it: a date, a truth value, something doubtful. Text that Excel would take for a number,
a date or a formula is quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args, get_origin


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

_MONTHS = "jan|feb|mar|apr|mai|may|jun|jul|aug|sep|okt|oct|nov|des|dec"
_FORMULA = re.compile(r'^[=+\-@"]')
_NUMBERLIKE = re.compile(
    rf"(?=.*\d)(?:[\d.,:;/\\\-+ %()€$£'*]|(?:{_MONTHS})\w*|kr|nok|usd|eur|am|pm|e)+", re.IGNORECASE
)
_NINE_DIGITS = re.compile(r"[1-9][0-9]{8}")
_TRUTH = re.compile(r"true|false|sann|usann", re.IGNORECASE)
_LOST = re.compile(r"^$|^\s|\s$|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_XML = re.compile(r"_x[0-9A-Fa-f]{4}_|[\x7f-\x9f\ufffe\uffff]")
_TRUE_OR_FALSE = {
    "true": True,
    "sann": True,
    "ja": True,
    "1": True,
    "false": False,
    "usann": False,
    "nei": False,
    "0": False,
}


class Unreadable(ValueError):
    """A cell that does not fit its column: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem)


def to_cell(value: Any) -> str:
    """Return the value, as the rows of a table have it, as text.

    Each of several values has its own line.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(_quoted(each) for each in value)
    return _quoted(value) if isinstance(value, str) else str(value)


def from_cell(annotation: Any, cell: Cell) -> Any:
    """Return the value for a field of this type. Raises Unreadable."""
    wanted = list(_types(annotation))  # a list, because not everything in annotations can be hashed
    if date in wanted:
        return _day(cell)
    if bool in wanted:
        return true_or_false(cell)
    if not isinstance(cell, str):
        raise _changed(cell)
    if get_origin(annotation) is tuple:
        return [_unquoted(part) for part in re.split(r"\r?\n", cell) if part.strip()]
    return _unquoted(cell)


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
    found = _TRUE_OR_FALSE.get(str(cell).strip().lower())
    if found is None:
        raise Unreadable(f"{str(cell)!r} must be true or false", "Write true or false")
    return found


def _quoted(text: str) -> str:
    """Return the text, in JSON's quotes if a spreadsheet would change it."""
    if _NINE_DIGITS.fullmatch(text):
        return text  # an organisation number is unchanged as a number
    if any(
        found(text)
        for found in (
            _FORMULA.search,
            _NUMBERLIKE.fullmatch,
            _TRUTH.fullmatch,
            _LOST.search,
            _NO_XML.search,
        )
    ):
        return _escaped(text)
    return text


def _escaped(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _NO_XML.sub(lambda found: f"\\u{ord(found[0][0]):04x}{found[0][1:]}", quoted)


def _unquoted(text: str) -> str:
    text = text.strip()
    if not text.startswith('"'):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, str) else text


def _day(cell: Cell) -> date:
    """Return a day written as here (2026-12-21), or as a Norwegian Excel writes it (21.12.2026)."""
    if isinstance(cell, date):
        return cell
    if not isinstance(cell, str):
        raise _changed(cell)
    text = _unquoted(cell)
    try:
        if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text, re.ASCII):
            return date(int(found[3]), int(found[2]), int(found[1]))
        return date.fromisoformat(text)
    except ValueError as error:
        raise Unreadable(f"{text!r} is not a date", "Write it as 2026-12-21") from error
