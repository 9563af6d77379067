"""Writes the table as a workbook for people: a sheet for each kind of rows, and a legend.

Cells are text, so that Excel changes nothing in them, but for days. Lists to choose from help and
never forbid: a cell may hold several values, and a new recipient.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from daemon.core.dpv import ALL_SERVICES
from daemon.core.model import Policy
from daemon.routing.spreadsheet.grids import column_letters, in_sheet
from daemon.routing.spreadsheet.headings import NOT, SHEETS, columns_of
from daemon.routing.spreadsheet.legend import LISTS, NOTES, TITLES, legend_rows
from daemon.routing.spreadsheet.wording import DAY_FORMATS, YES_AND_NO

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

SheetRows = Sequence[Sequence[str | date]]

_NARROWEST, _WIDEST = 10, 50  # characters
_SPARE_ROWS = 1_000  # below the last one, with lists to choose from
_LEGEND_WIDTH = 4  # columns
_TRUTHS = frozenset(
    {
        "has_attachments",
        "migrated",
        "continue",
        "enabled",
        "follow_thread",
        "keep_copy",
        "last_resort",
    }
)
_NAMES_OF = {
    **dict.fromkeys(("to", "copy_to", "from", "deputy"), "recipient"),
    "party_group": "party_group",
}
"""The columns that hold names of another sheet's rows."""
_TEXT = "@"
_DAYS = frozenset({"starts", "ends"})


def workbook_bytes(
    rows: Mapping[str, SheetRows], destinations: Sequence[str], language: str
) -> bytes:
    """Return a workbook with the rows of each kind, the headings first, in the language's words."""
    from openpyxl import Workbook

    book = Workbook()
    del book["Sheet"]
    for kind, title in SHEETS[language].items():
        sheet = book.create_sheet(title)
        columns = columns_of(kind)
        formats = [DAY_FORMATS[language] if column in _DAYS else _TEXT for column in columns]
        formats += [_TEXT] * (len(rows[kind][0]) - len(columns))  # people's remarks
        _fill(sheet, rows[kind], formats)
        sheet.freeze_panes = "B2"
        sheet.auto_filter.ref = f"A1:{column_letters(len(formats))}{max(2, len(rows[kind]))}"
        for place, column in enumerate(columns, start=1):
            if source := _choices(column, rows, destinations, language):
                _offer(sheet, place, len(rows[kind]) + _SPARE_ROWS, source)
    _add_legend(book.create_sheet(TITLES[language]), destinations, language)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _fill(sheet: Worksheet, rows: SheetRows, formats: Sequence[str]) -> None:
    """Write the rows, the first of which are headings, with widths that fit."""
    from openpyxl.styles import Alignment

    wrapped = Alignment(vertical="top", wrap_text=True)
    for place, number_format in enumerate(formats, start=1):
        column = sheet.column_dimensions[column_letters(place)]
        # new cells are text as well: Excel would make a date of 2026/12
        column.number_format, column.alignment = number_format, wrapped
        column.width = _width([row[place - 1] for row in rows if len(row) >= place])
    for number, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            if value == "":
                continue
            cell: Any = sheet.cell(number, place)
            number_format = _TEXT if number == 1 else formats[place - 1]
            cell.value, cell.number_format, cell.alignment = value, number_format, wrapped
            if isinstance(value, str):
                cell.data_type = "s"  # never a formula
    _emphasise(sheet, len(formats))


def _emphasise(sheet: Worksheet, columns: int) -> None:
    from openpyxl.styles import Font, PatternFill

    for place in range(1, columns + 1):
        cell: Any = sheet.cell(1, place)
        if cell.value:
            cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DDE6EE")


def _width(cells: Sequence[str | date]) -> int:
    """Return the width of a column in characters; longer text is wrapped."""
    longest = max((len(line) for cell in cells for line in str(cell).split("\n")), default=0)
    return min(_WIDEST, max(_NARROWEST, longest + 4))  # room for the arrow of the filter


def _choices(
    column: str, rows: Mapping[str, SheetRows], destinations: Sequence[str], language: str
) -> str:
    """Return the formula of a column's list to choose from; empty where there is none."""
    column = column.removeprefix(NOT)
    if column in _TRUTHS:
        return f'"{",".join(YES_AND_NO[language])}"'
    if column in {"mark_read", "confirm"}:
        return f'"{",".join(Policy)}"'
    if column == "language":
        return '"nb,nn,en"'
    if kind := _NAMES_OF.get(column):
        last = len(rows[kind]) + _SPARE_ROWS
        return in_sheet(SHEETS[language][kind], f"$A$2:$A${last}")
    if column == "services":
        return _listed(1, len(ALL_SERVICES), language)
    return _listed(4, len(destinations), language) if column == "deliver_to" else ""


def _listed(place: int, count: int, language: str) -> str:
    """Return where the legend's sheet has a list of so many values; nowhere without any."""
    letters = column_letters(_LEGEND_WIDTH + 1 + place)
    cells = f"${letters}$2:${letters}${count + 1}"
    return in_sheet(TITLES[language], cells) if count else ""


def _offer(sheet: Worksheet, place: int, last: int, source: str) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    letters = column_letters(place)
    offer = DataValidation(type="list", formula1=source, allow_blank=True, showErrorMessage=False)
    offer.add(f"{letters}2:{letters}{last}")
    sheet.add_data_validation(offer)


def _add_legend(sheet: Worksheet, destinations: Sequence[str], language: str) -> None:
    """Fill the sheet that explains the others, with the lists to choose from beside it."""
    legend = [*legend_rows(language), ("",) * _LEGEND_WIDTH]
    legend += [("", "", "", note) for note in NOTES[language]]
    services = [
        (each.slug, each.code, each.nb if language == "nb" else each.en) for each in ALL_SERVICES
    ]
    lists = [LISTS[language]]
    for number in range(max(len(services), len(destinations))):
        service = services[number] if number < len(services) else ("", "", "")
        lists.append((*service, destinations[number] if number < len(destinations) else ""))
    height = max(len(legend), len(lists))
    legend += [("",) * _LEGEND_WIDTH] * (height - len(legend))
    lists += [("",) * len(LISTS[language])] * (height - len(lists))
    both = [(*left, "", *right) for left, right in zip(legend, lists, strict=True)]
    _fill(sheet, both, [_TEXT] * len(both[0]))
    sheet.freeze_panes = "A2"
