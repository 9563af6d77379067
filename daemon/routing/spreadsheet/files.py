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

from daemon.core.durable_files import new_file
from daemon.routing.spreadsheet.grids import Grid
from daemon.routing.spreadsheet.headings import KIND, column_called
from daemon.routing.spreadsheet.sheet_faults import sheet_fault
from daemon.routing.spreadsheet.workbook import NotUsable, read_workbook

_LARGEST = 32 << 20  # bytes of a file
_ZIP, _OLD_EXCEL = b"PK", bytes.fromhex("d0cf11e0a1b11ae1")
_DELIMITERS = (";", ",", "\t")
_SEPARATOR_LINE = re.compile(r'\s*"?sep=([;,\t|])"?[;,\t\s]*', re.IGNORECASE)
"""Excel's own; programs that know nothing of it quote it, or pad it to the other lines' width."""


def write_file(content: bytes, path: Path) -> None:
    """Write a new file. Raises OSError, also if it exists already."""
    with new_file(path) as file:
        file.write(content)


def read_grids(path: Path) -> list[Grid]:
    """Return every sheet of the file; a CSV file has one. Raises ConfigurationError."""
    is_excel(path)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise sheet_fault(
            path,
            "",
            f"the file cannot be read: {(error.strerror or '').lower()}",
            "Choose another file",
        ) from error
    if len(content) > _LARGEST:
        raise sheet_fault(
            path, "", f"the file is larger than {_LARGEST >> 20} MB", "Keep only the table in it"
        )
    if content.startswith(_OLD_EXCEL):
        what = "this is a workbook with a password, or from Excel 2003 or older"
        raise sheet_fault(path, "", what, "Save it as .xlsx without a password, or as .csv")
    if content.startswith(_ZIP):  # the content decides; a file's extension is easily wrong
        _refuse_other_zips(content, path)
        return _read_xlsx(content, path)
    return _read_csv(content, path)


def _refuse_other_zips(content: bytes, path: Path) -> None:
    if b"mimetypeapplication/vnd.oasis.opendocument" in content[:200]:
        raise sheet_fault(path, "", "this is an OpenDocument sheet", "Save it as .xlsx, or as .csv")


def is_excel(path: Path) -> bool:
    """Return whether the file's name is that of a workbook. Raises ConfigurationError."""
    kind = path.suffix.lower()
    if kind not in {".csv", ".xlsx"}:
        raise sheet_fault(
            path,
            "",
            "the name must end in .csv or .xlsx",
            "Rename the file",
        )
    return kind == ".xlsx"


def csv_bytes(rows: Iterable[Sequence[str]]) -> bytes:
    """Return the rows as a CSV file that a Norwegian Excel opens by a double click."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def _read_csv(content: bytes, path: Path) -> list[Grid]:
    text = _csv_as_text(content, path)
    text, delimiter = _delimiter(text)
    try:
        # strict: a quotation mark that is not closed would make one cell of all the rows that
        # follow it
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [Grid(title="", rows=[list(row) for row in lines])]
    except csv.Error as error:
        problem = f"this is not a readable CSV file: {error}"
        if "unexpected end" in str(error):
            problem = "a quotation mark is not closed, so everything after it would be one cell"
        raise sheet_fault(path, "", problem, "Save it as CSV UTF-8, or as .xlsx") from error


def _csv_as_text(content: bytes, path: Path) -> str:
    """Return the text, from UTF-8 with or without a mark, or from UTF-16 with one.

    Excel's "Unicode text" is UTF-16.
    """
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise sheet_fault(path, "", "the file is not in UTF-8", "Save it as CSV UTF-8") from error
    if "\0" in text:
        raise sheet_fault(
            path,
            "",
            "this is not text, or is UTF-16 without a byte order mark",
            "Save it as CSV UTF-8",
        )
    return text


def _delimiter(text: str) -> tuple[str, str]:
    """Return the text without a line `sep=;`, and the delimiter between its cells.

    That is what such a line says, or what makes a header of the first line.
    """
    first, _, rest = text.partition("\n")
    if said := _SEPARATOR_LINE.fullmatch(first):
        return rest, said[1]
    for delimiter in _DELIMITERS:
        if KIND in (column_called(cell.strip().strip('"')) for cell in first.split(delimiter)):
            return text, delimiter
    return text, ";" if ";" in first else ","


def _read_xlsx(content: bytes, path: Path) -> list[Grid]:
    try:
        return read_workbook(content)
    except NotUsable as error:
        raise sheet_fault(path, "", error.problem, error.remedy) from error
