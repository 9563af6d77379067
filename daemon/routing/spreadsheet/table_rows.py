"""Converts the table to a spreadsheet and back.

In a workbook, routes, recipients and covers have a sheet each. In a CSV file, and in a workbook
from an older version, all rows stand in one sheet, whose column `kind` says what each is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from daemon.core.dpv import find_service
from daemon.routing.spreadsheet.cells import to_cell
from daemon.routing.spreadsheet.diff import flat
from daemon.routing.spreadsheet.files import csv_bytes, is_excel, write_file
from daemon.routing.spreadsheet.grids import column_letters, in_sheet
from daemon.routing.spreadsheet.headings import (
    ALL_COLUMNS,
    KIND,
    NOT,
    SHEETS,
    TABLE,
    columns_of,
    heading,
    kind_word,
)
from daemon.routing.spreadsheet.remarks import (
    is_remark,
    remark_cell,
    remark_keys,
    rows_with_remarks,
)
from daemon.routing.spreadsheet.sheet_faults import sheet_fault
from daemon.routing.table import SECTIONS, Table

_MOST_IN_A_CELL = 32_767  # characters; Excel's limit, beyond which it cuts


def write_sheet(table: Table, path: Path, language: str = "") -> None:
    """Write the table to a new `.csv` or `.xlsx` file, with headings in the language.

    Without a language, a workbook is in English, and a CSV file has the keys of routing.toml.
    Raises ConfigurationError, and OSError if it exists already.
    """
    if not is_excel(path):
        write_file(csv_bytes(_in_one_sheet(table, language)), path)
        return
    from daemon.routing.spreadsheet.excel import workbook_bytes

    language = language or "en"
    rows = {**rows_with_remarks(table), TABLE: [{"follow_thread": table.follow_thread}]}
    sheets = {kind: list(_in_its_sheet(kind, rows[kind], language)) for kind in SHEETS[language]}
    for kind, cells in sheets.items():
        _refuse_long(cells, SHEETS[language][kind], path)
    write_file(workbook_bytes(sheets, sorted(table.destinations or ()), language), path)


def _in_one_sheet(table: Table, language: str) -> Iterator[list[str]]:
    values = rows_with_remarks(table)
    remarks = tuple(remark_keys(row for kind in SECTIONS for row in values[kind]))
    yield [*(heading(column, language) for column in ALL_COLUMNS), *remarks]
    columns = (*ALL_COLUMNS, *remarks)
    if table.follow_thread:
        yield _cells({KIND: kind_word(TABLE, language), "follow_thread": True}, columns, language)
    for kind in SECTIONS:
        for each in values[kind]:
            yield _cells({KIND: kind_word(kind, language)} | _with_slugs(each), columns, language)


def _in_its_sheet(
    kind: str, rows: Sequence[dict[str, Any]], language: str
) -> Iterator[list[str | date]]:
    remarks = tuple(remark_keys(rows))
    columns = (*columns_of(kind), *remarks)
    yield [*(heading(column, language) for column in columns_of(kind)), *remarks]
    for row in map(_with_slugs, rows):
        days = {column: row[column] for column in columns if isinstance(row.get(column), date)}
        texts = _cells(row, columns, language)
        yield [days.get(column, text) for column, text in zip(columns, texts, strict=True)]


def _with_slugs(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row by the columns of a sheet, services by their slugs.

    Excel takes 4255/8 for a month.
    """
    found = flat(values)
    for column in found.keys() & {"services", f"{NOT}services"}:
        found[column] = [service.slug for service in map(find_service, found[column]) if service]
    return found


def _cells(values: dict[str, Any], columns: Sequence[str], language: str) -> list[str]:
    return [
        remark_cell(values.get(column, ""))
        if is_remark(column)
        else to_cell(values.get(column), language)
        for column in columns
    ]


def _refuse_long(rows: Sequence[Sequence[str | date]], title: str, path: Path) -> None:
    for number, row in enumerate(rows, start=1):
        for place, cell in enumerate(row, start=1):
            if isinstance(cell, str) and len(cell) > _MOST_IN_A_CELL:
                name = in_sheet(title, f"{column_letters(place)}{number}")
                raise sheet_fault(
                    path,
                    f"{name} ({rows[0][place - 1]})",
                    f"the text is longer than the {_MOST_IN_A_CELL} characters that fit in a cell",
                    "Export to a .csv file instead",
                )
