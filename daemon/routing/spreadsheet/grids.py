"""One sheet of a workbook, or a CSV file, as the cells in it, and how its cells are called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from daemon.routing.spreadsheet.cells import Cell

Rows = list[list[Cell]]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The rows of one sheet; each is as long as it has cells with content."""

    title: str
    """The sheet's name; empty for a CSV file."""
    rows: Rows
    merged: tuple[str, ...] = ()
    """The areas of merged cells, such as `C2:C3`."""


def column_letters(number: int) -> str:
    """Return what Excel calls a column; the first, 1, is A."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def in_sheet(title: str, cells: str) -> str:
    """Return how Excel names cells of a sheet: `Routes!O17`, `'My routes'!O17`.

    Without a title, the cells alone.
    """
    if not title:
        return cells
    name = title if re.fullmatch(r"\w+", title) else "'" + title.replace("'", "''") + "'"
    return f"{name}!{cells}"
