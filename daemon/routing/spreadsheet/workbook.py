"""Reads the sheets of an Excel workbook by their cells, not by their labels.

Programs other than Excel leave the labels of a workbook as they were: how far a sheet goes
(`dimension`), which sheet is the first or visible, which row comes next. openpyxl's own ways of
reading believe some of them and leave out rows without a word, so its parser is asked for every
cell, and what cannot be placed is refused. Source: ECMA-376, part 1, 18.3 (SpreadsheetML
worksheets).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from daemon.routing.spreadsheet.cells import Cell, Doubtful
from daemon.routing.spreadsheet.grids import Grid, Rows, column_letters, in_sheet

if TYPE_CHECKING:
    from openpyxl.worksheet._reader import WorkSheetParser

LARGEST_UNPACKED = 64 << 20
"""Bytes of a workbook when it is unpacked; a few kilobytes can unpack to gigabytes."""
_MOST_ROWS, _MOST_CELLS = (
    1_048_576,
    5_000_000,
)  # Excel's limit, and as many cells as fit in a gigabyte
_EXACT = 10**15  # Excel keeps fifteen digits of a number, and zeroes the rest
_PADDED = re.compile(r"0{2,}")


class NotUsable(ValueError):
    """A workbook that cannot be used as it is: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(problem)


def read_workbook(content: bytes) -> list[Grid]:
    """Return every sheet with cells. Raises NotUsable."""
    try:
        _refuse_what_unpacks_too_large(content)
        with warnings.catch_warnings(
            action="ignore"
        ):  # openpyxl's, of what it does not keep, which is not kept here either
            return _sheets(content)
    except (NotUsable, MemoryError):
        raise
    except Exception as error:  # what a damaged workbook raises in the library is not a closed list
        raise NotUsable(
            "this is not a readable Excel file", "Save it as .xlsx, or as .csv"
        ) from error


def _refuse_what_unpacks_too_large(content: bytes) -> None:
    with ZipFile(
        io.BytesIO(content)
    ) as archive:  # it gives no more bytes of a member than its directory says
        if sum(each.file_size for each in archive.infolist()) > LARGEST_UNPACKED:
            raise NotUsable(
                f"the unpacked workbook is larger than {LARGEST_UNPACKED >> 20} MB",
                "Keep only the sheet with the table in it",
            )


def _sheets(content: bytes) -> list[Grid]:
    from openpyxl import load_workbook

    values, formulas = (
        load_workbook(io.BytesIO(content), read_only=True, data_only=known)
        for known in (True, False)
    )
    return [_read_sheet(sheet, formulas[sheet.title]) for sheet in values.worksheets]


def _read_sheet(sheet: Any, with_formulas: Any) -> Grid:
    cells: dict[tuple[int, int], Cell] = {}
    results: set[tuple[int, int]] = set()
    parser = _parser(sheet)
    for found in _cells(parser):
        if found["value"] is not None:
            _put(cells, found, _as_written(sheet, found), sheet.title)
        if (
            found["value"] is not None or found["data_type"] == "str"
        ):  # a formula's result can be an empty text
            results.add((found["row"], found["column"]))
    for found in _cells(_parser(with_formulas)):
        place = found["row"], found["column"]
        if found["data_type"] == "f" and place not in results:
            cells[place] = Doubtful("a formula without its result", "")
    merged = parser.merged_cells.mergeCell if parser.merged_cells else ()
    return Grid(
        title=sheet.title, rows=_in_rows(cells), merged=tuple(str(each.ref) for each in merged)
    )


def _parser(sheet: Any) -> WorkSheetParser:
    from openpyxl.worksheet._reader import WorkSheetParser

    book = sheet.parent
    return WorkSheetParser(
        # as the library's own reading does; there is no public way to every cell
        sheet._get_source(),  # noqa: SLF001
        sheet._shared_strings,  # noqa: SLF001
        data_only=book.data_only,
        epoch=book.epoch,
        date_formats=book._date_formats,  # noqa: SLF001
        timedelta_formats=book._timedelta_formats,  # noqa: SLF001
    )


def _cells(parser: WorkSheetParser) -> Iterator[dict[str, Any]]:
    for _, row in parser.parse():
        yield from row


def _put(
    cells: dict[tuple[int, int], Cell], found: Mapping[str, Any], value: Cell, title: str
) -> None:
    place = found["row"], found["column"]
    if str(value).strip() and cells.setdefault(place, value) != value:
        raise NotUsable(
            f"{in_sheet(title, f'{column_letters(place[1])}{place[0]}')} is in the file twice",
            "Open the file in Excel, and save it again",
        )
    if place[0] > _MOST_ROWS or len(cells) > _MOST_CELLS:
        raise NotUsable(
            "the sheet has more rows or cells than Excel allows", "Keep only the table in it"
        )


def _in_rows(cells: Mapping[tuple[int, int], Cell]) -> Rows:
    widths: dict[int, int] = {}
    for row, column in cells:
        widths[row] = max(widths.get(row, 0), column)
    if sum(widths.values()) > _MOST_CELLS:
        raise NotUsable("the sheet is too wide", "Keep only the table in it")
    rows: Rows = [[""] * widths.get(row, 0) for row in range(1, max(widths, default=0) + 1)]
    for (row, column), value in cells.items():
        rows[row - 1][column - 1] = value
    return rows


def _as_written(sheet: Any, found: Mapping[str, Any]) -> Cell:
    """Return a cell as it was written, where Excel lets us know.

    It turns organisation numbers into numbers, and days into times.
    """
    value = found["value"]
    if found["data_type"] == "e":
        return Doubtful("an Excel error", str(value))
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(sheet, found)
    return (
        value
        if isinstance(value, str | bool | date)
        else Doubtful("a time", str(value), converted=True)
    )


def _number(sheet: Any, found: Mapping[str, Any]) -> Cell:
    from openpyxl.cell.read_only import ReadOnlyCell

    value = found["value"]
    if abs(value) >= _EXACT or value != int(value):
        return Doubtful("a number", str(value), converted=True)
    shown_as = str(ReadOnlyCell(sheet, **found).number_format)
    return str(int(value)).zfill(len(shown_as) if _PADDED.fullmatch(shown_as) else 0)
