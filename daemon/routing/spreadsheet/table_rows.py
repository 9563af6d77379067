"""Converts the table to a spreadsheet and back without loss.

One row of the sheet is one row of the table. The first column says which kind; the others are the
keys of routing.toml. In a cell with several values, each has its own line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from daemon.core.dpv import find_service
from daemon.core.errors import ConfigurationError
from daemon.routing.rows import Conditions, Delegation, Recipient, Route
from daemon.routing.spreadsheet.cells import Cell, Unreadable, from_cell, to_cell, true_or_false
from daemon.routing.spreadsheet.diff import toml_text
from daemon.routing.spreadsheet.files import read_cells, sheet_fault, write_cells
from daemon.routing.table import SECTIONS, Table, parse_table

_MODELS: Mapping[str, type[BaseModel]] = dict(
    zip(SECTIONS, (Recipient, Route, Delegation), strict=True)
)
_TABLE = "table"
_KIND = "kind"
_NOT = "not "
_PLACE = re.compile(r"(\w+)\[(\d+)\]")


def _columns() -> Iterator[str]:
    yield _KIND
    for model in (Route, Recipient, Delegation):
        yield from (
            field.alias or name for name, field in model.model_fields.items() if name != "not_"
        )
    yield from (f"{_NOT}{name}" for name in Conditions.model_fields)


COLUMNS = tuple(dict.fromkeys(_columns()))


def write_sheet(table: Table, path: Path) -> None:
    """Write the table to a new `.csv` or `.xlsx` file.

    Raises ConfigurationError, and OSError if it exists already.
    """
    write_cells([COLUMNS, *_to_rows(table)], path)


def read_sheet(path: Path, destinations: Sequence[str]) -> Table:
    """Return the table in a sheet.

    Raises ConfigurationError, whose faults name the lines of the sheet.
    """
    sheet = _from_cells(read_cells(path), path)
    try:
        return parse_table(toml_text(sheet.values), str(path), destinations)
    except ConfigurationError as error:
        raise ConfigurationError(
            [replace(fault, line=sheet.line_of(fault.key)) for fault in error.faults]
        ) from error


def _to_rows(table: Table) -> Iterator[list[str]]:
    values = table.rows
    if values.pop("follow_thread", False):
        yield _row(_TABLE, {"follow_thread": True})
    for kind, rows in values.items():
        for each in rows:
            yield _row(kind, each)


def _row(kind: str, values: dict[str, Any]) -> list[str]:
    flat = {_KIND: kind, **{key: value for key, value in values.items() if key != "not"}}
    flat |= {f"{_NOT}{key}": value for key, value in values.get("not", {}).items()}
    for column in flat.keys() & {"services", f"{_NOT}services"}:
        flat[column] = [
            service.slug for service in map(find_service, flat[column]) if service
        ]  # Excel takes 4255/8 for a month
    return [to_cell(flat.get(column)) for column in COLUMNS]


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """The values in a sheet, and the line of each of the table's rows."""

    values: dict[str, Any]
    lines: Mapping[tuple[str, int], int]

    def line_of(self, key: str) -> int | None:
        found = _PLACE.match(key)
        return self.lines.get((found[1], int(found[2]))) if found else None


def _from_cells(rows: list[list[Cell]], path: Path) -> _Sheet:
    header = [str(cell).strip() for cell in rows[0]] if rows else []
    _check_header(header, path)
    values: dict[str, Any] = {kind: [] for kind in SECTIONS}
    lines: dict[tuple[str, int], int] = {}
    for line, cells in enumerate(rows[1:], start=2):
        filled = {
            column: cell for column, cell in zip(header, cells, strict=False) if str(cell).strip()
        }
        if any(str(cell).strip() for cell in cells[len(header) :]) or "" in filled:
            raise sheet_fault(path, line, "a column without a name has content", "Empty the cell")
        if filled:
            kind = _add_row(values, filled, path, line)
            lines[kind, len(values.get(kind, ()))] = line
    return _Sheet(values=values, lines=lines)


def _check_header(header: list[str], path: Path) -> None:
    for column in header:
        if column and column not in COLUMNS:
            raise sheet_fault(
                path, 1, f"{column!r} is not a known column", f"Use one of: {', '.join(COLUMNS)}"
            )
        if column and header.count(column) > 1:
            raise sheet_fault(path, 1, f"the column {column!r} appears twice", "Remove one of them")
    if _KIND not in header:
        raise sheet_fault(
            path,
            1,
            f"the column {_KIND!r} is missing",
            "Start from the output of `postmottak routes export`",
        )


def _add_row(values: dict[str, Any], filled: dict[str, Cell], path: Path, line: int) -> str:
    kind = str(filled.pop(_KIND, "")).strip().lower()
    if kind != _TABLE and kind not in SECTIONS:
        raise sheet_fault(
            path,
            line,
            f"{kind!r} is not a known kind of row",
            f"Use one of: {', '.join((*SECTIONS, _TABLE))}",
        )
    row: dict[str, Any] = {}
    for column, cell in filled.items():
        try:
            _put(row, kind, column, cell)
        except Unreadable as error:
            raise sheet_fault(path, line, error.problem, error.remedy, column) from error
    if kind == _TABLE:
        values.update({"follow_thread": False} | row)
    else:
        values[kind].append(row)
    return kind


def _put(row: dict[str, Any], kind: str, column: str, cell: Cell) -> None:
    if kind == _TABLE and column == "follow_thread":
        row[column] = true_or_false(cell)
    elif kind == "route" and column.startswith(_NOT):
        name = column.removeprefix(_NOT)
        row.setdefault("not", {})[name] = from_cell(_annotation(Conditions, name), cell)
    else:
        row[column] = from_cell(_annotation(_MODELS.get(kind), column), cell)


def _annotation(model: type[BaseModel] | None, column: str) -> Any:
    fields = model.model_fields if model else {}
    for name, field in fields.items():
        if column == (field.alias or name):
            return field.annotation
    raise Unreadable("this kind of row does not have this column", "Empty the cell")
