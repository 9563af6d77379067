"""The two kinds of spreadsheet files: CSV as a Norwegian Excel opens it, and XLSX.

When writing, the file's extension decides; when reading, its content does.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from daemon.core.durable_files import new_file
from daemon.core.errors import ConfigurationError, Fault
from daemon.routing.spreadsheet.cells import Cell
from daemon.routing.spreadsheet.workbook import NotUsable, read_workbook

_MOST_IN_A_CELL = 32_767  # characters; Excel's limit, beyond which it cuts
_LARGEST = 32 << 20  # bytes of a file
_ZIP, _OLD_EXCEL = b"PK", bytes.fromhex("d0cf11e0a1b11ae1")
_DELIMITERS = (";", ",", "\t")


def sheet_fault(
    path: Path, line: int | None, problem: str, remedy: str, column: str = ""
) -> ConfigurationError:
    """One fault in a spreadsheet."""
    return ConfigurationError(
        [Fault(file=str(path), key=column, line=line, problem=problem, remedy=remedy)]
    )


def write_cells(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Write a new file of the kind that its extension says.

    Raises ConfigurationError, and OSError if it exists already.
    """
    is_excel = _is_excel(path)
    for line, row in enumerate(rows, start=1):
        for column, cell in zip(rows[0], row, strict=True):
            if is_excel and len(cell) > _MOST_IN_A_CELL:
                raise sheet_fault(
                    path,
                    line,
                    f"the text is longer than the {_MOST_IN_A_CELL} characters that fit in a cell",
                    "Export to a .csv file instead",
                    column,
                )
    content = _xlsx_bytes(rows) if is_excel else _csv_text(rows).encode("utf-8-sig")
    with new_file(path) as file:
        file.write(content)


def read_cells(path: Path) -> list[list[Cell]]:
    """Every row of the file. Raises ConfigurationError."""
    _is_excel(path)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise sheet_fault(
            path,
            None,
            f"the file cannot be read: {(error.strerror or '').lower()}",
            "Choose another file",
        ) from error
    if len(content) > _LARGEST:
        raise sheet_fault(
            path, None, f"the file is larger than {_LARGEST >> 20} MB", "Keep only the table in it"
        )
    if content.startswith(_OLD_EXCEL):
        what = "this is a workbook with a password, or from Excel 2003 or older"
        raise sheet_fault(path, None, what, "Save it as .xlsx without a password, or as .csv")
    if content.startswith(_ZIP):  # the content decides; a file's extension is easily wrong
        _refuse_other_zips(content, path)
        return _read_xlsx(content, path)
    return _read_csv(content, path)


def _refuse_other_zips(content: bytes, path: Path) -> None:
    if b"mimetypeapplication/vnd.oasis.opendocument" in content[:200]:
        raise sheet_fault(
            path, None, "this is an OpenDocument sheet", "Save it as .xlsx, or as .csv"
        )


def _is_excel(path: Path) -> bool:
    kind = path.suffix.lower()
    if kind not in {".csv", ".xlsx"}:
        raise sheet_fault(
            path,
            None,
            "the name must end in .csv or .xlsx",
            "Rename the file",
        )
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
            for column in range(
                1, len(row) + 1
            ):  # new cells are text as well: Excel would make a date of 2026/12
                sheet.column_dimensions[get_column_letter(column)].number_format = "@"
        sheet.append([_text_cell(WriteOnlyCell(sheet, value=text)) for text in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _text_cell(cell: Any) -> Any:
    cell.number_format, cell.data_type = "@", "s"
    return cell


def _read_csv(content: bytes, path: Path) -> list[list[Cell]]:
    text = _csv_as_text(content, path)
    text, delimiter = _delimiter(text)
    try:
        # strict: a quotation mark that is not closed would make one cell of all the rows that
        # follow it
        return [
            list(row)
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        ]
    except csv.Error as error:
        problem = f"this is not a readable CSV file: {error}"
        if "unexpected end" in str(error):
            problem = "a quotation mark is not closed, so everything after it would be one cell"
        raise sheet_fault(path, None, problem, "Save it as CSV UTF-8, or as .xlsx") from error


def _csv_as_text(content: bytes, path: Path) -> str:
    """Return the text, from UTF-8 with or without a mark, or from UTF-16 with one.

    Excel's "Unicode text" is UTF-16.
    """
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise sheet_fault(path, None, "the file is not in UTF-8", "Save it as CSV UTF-8") from error
    if "\0" in text:
        raise sheet_fault(
            path,
            None,
            "this is not text, or is UTF-16 without a byte order mark",
            "Save it as CSV UTF-8",
        )
    return text


def _delimiter(text: str) -> tuple[str, str]:
    """Return the text without a line `sep=;`, and the delimiter between its cells.

    That is what such a line says, or what makes a header of the first line.
    """
    first, _, rest = text.partition("\n")
    if said := re.fullmatch(r"sep=(.)\r?", first, re.IGNORECASE):
        return rest, said[1]
    for delimiter in _DELIMITERS:
        if "kind" in (cell.strip().strip('"') for cell in first.split(delimiter)):
            return text, delimiter
    return text, ";" if ";" in first else ","


def _read_xlsx(content: bytes, path: Path) -> list[list[Cell]]:
    try:
        return read_workbook(content)
    except NotUsable as error:
        raise sheet_fault(path, None, error.problem, error.remedy) from error
