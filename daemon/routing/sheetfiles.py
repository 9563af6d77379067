"""The two kinds of spreadsheet files: CSV as a Norwegian Excel opens it by a double click, and XLSX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from daemon.durable import new_file
from daemon.errors import ConfigurationError, Fault
from daemon.routing.cells import Cell

_MOST_IN_A_CELL = 32_767  # characters; Excel's limit, beyond which it cuts


def sheet_fault(path: Path, line: int | None, problem: str, remedy: str, column: str = "") -> ConfigurationError:
    """One fault in a spreadsheet."""
    return ConfigurationError([Fault(file=str(path), key=column, line=line, problem=problem, remedy=remedy)])


def write_cells(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Write a new file of the kind that its name ends in. Raises ConfigurationError, and OSError if it is there already."""
    is_excel = _is_excel(path)
    for line, row in enumerate(rows, start=1):
        for column, cell in zip(rows[0], row, strict=True):
            if is_excel and len(cell) > _MOST_IN_A_CELL:
                raise sheet_fault(path, line, f"this is more than the {_MOST_IN_A_CELL} characters of a cell", "Write a .csv file", column)
    content = _xlsx_bytes(rows) if is_excel else _csv_text(rows).encode("utf-8-sig")
    with new_file(path) as file:
        file.write(content)


def read_cells(path: Path) -> list[list[Cell]]:
    """Every row of the file. Raises ConfigurationError."""
    is_excel = _is_excel(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise sheet_fault(path, None, f"the file cannot be read: {(error.strerror or '').lower()}", "Name another one") from error
    return _read_xlsx(content, path) if is_excel else _read_csv(content, path)


def _is_excel(path: Path) -> bool:
    kind = path.suffix.lower()
    if kind not in {".csv", ".xlsx"}:
        raise sheet_fault(path, None, "the name ends neither in .csv nor in .xlsx", "Give the file one of these endings")
    return kind == ".xlsx"


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _xlsx_bytes(rows: Iterable[Sequence[str]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet("routing")
    sheet.freeze_panes = "B2"
    for number, row in enumerate(rows):
        if number == 0:
            for column in range(1, len(row) + 1):  # new cells are text as well: Excel would make a date of 2026/12
                sheet.column_dimensions[get_column_letter(column)].number_format = "@"
        sheet.append([_text_cell(WriteOnlyCell(sheet, value=text)) for text in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _text_cell(cell: Any) -> Any:
    cell.number_format, cell.data_type = "@", "s"
    return cell


def _read_csv(content: bytes, path: Path) -> list[list[Cell]]:
    try:
        text = content.decode("utf-8-sig")
        delimiter = ";" if ";" in text.split("\n", 1)[0] else ","
        return [list(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    except UnicodeDecodeError as error:
        raise sheet_fault(path, None, "the file is not in UTF-8", "Save it as CSV UTF-8") from error
    except csv.Error as error:
        raise sheet_fault(path, None, f"this is no CSV file that can be read: {error}", "Save it as CSV UTF-8, or as .xlsx") from error


def _read_xlsx(content: bytes, path: Path) -> list[list[Cell]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    damaged = (InvalidFileException, BadZipFile, ParseError, KeyError, ValueError, TypeError, AttributeError, EOFError)
    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        return [[_as_written(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    except (*damaged, IndexError) as error:
        raise sheet_fault(path, None, "this is no Excel file that can be read", "Save it as .xlsx, or as .csv") from error


def _as_written(value: Any) -> Cell:
    """A cell as it was written: Excel makes numbers of organisation numbers, and times of days."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
