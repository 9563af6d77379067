"""The table as a spreadsheet, there and back without loss: CSV as a Norwegian Excel opens it, or XLSX.

One row of the sheet is one row of the table. The first column says which kind, the others are the keys of routing.toml; several values in
one cell stand on lines of their own.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from daemon.dpv import find_service
from daemon.errors import ConfigurationError, Fault
from daemon.routing.rows import Conditions, Delegation, Recipient, Route
from daemon.routing.table import Table
from daemon.settings import duration_text

_KINDS: dict[str, type[Recipient | Route | Delegation]] = {"recipient": Recipient, "route": Route, "delegation": Delegation}
_TABLE = "table"
_NEEDS_QUOTES = re.compile(r"""^[=+\-@"]|^\s|\s$|[\r\n\x00-\x1f\x85\u2028\u2029]|^[0-9.,]+[/.,:\-][0-9.,:/\-]*$|^0[0-9]+$|^$""")
_KIND = "kind"


def _columns() -> list[str]:
    names = [_KIND]
    for model in (Route, Recipient, Delegation):
        for name, field in model.model_fields.items():
            if name != "not_":
                names.append(field.alias or name)
    names += [f"not {name}" for name in Conditions.model_fields]
    names.append("follow_thread")
    return list(dict.fromkeys(names))


COLUMNS = tuple(_columns())


def write_sheet(table: Table, path: Path) -> None:
    """Write the table to `path`, by its ending `.csv` or `.xlsx`. Raises ConfigurationError for another ending, and OSError."""
    rows = list(_to_rows(table))
    if _kind_of(path) == ".xlsx":
        _write_xlsx(rows, path)
    else:
        path.write_bytes(_csv_text(rows).encode("utf-8-sig"))


def read_sheet(path: Path) -> dict[str, Any]:
    """The rows in a sheet, as routing.toml would have them. Raises ConfigurationError."""
    try:
        rows = _read_xlsx(path) if _kind_of(path) == ".xlsx" else _read_csv(path)
    except OSError as error:
        raise _fault(path, None, f"the file cannot be read: {(error.strerror or '').lower()}", "Name another one") from error
    return _from_rows(rows, path)


def _kind_of(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in {".csv", ".xlsx"}:
        raise _fault(path, None, "the name ends neither in .csv nor in .xlsx", "Give the file one of these endings")
    return kind


def _fault(path: Path, line: int | None, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Fault(file=str(path), key="", line=line, problem=problem, remedy=remedy)])


def _to_rows(table: Table) -> Iterator[list[str]]:
    yield list(COLUMNS)
    values = table.rows
    if values.pop("follow_thread", False):
        yield _row(_TABLE, {"follow_thread": True})
    for kind, rows in values.items():
        for each in rows:
            yield _row(kind, each)


def _row(kind: str, values: dict[str, Any]) -> list[str]:
    flat = {_KIND: kind, **{key: value for key, value in values.items() if key != "not"}}
    flat |= {f"not {key}": value for key, value in values.get("not", {}).items()}
    for column in flat.keys() & {"services", "not services"}:
        flat[column] = [service.slug for service in map(find_service, flat[column]) if service]  # Excel takes 4255/8 for a month
    return [_cell(flat.get(column)) for column in COLUMNS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, list | tuple):
        return "\n".join(_quoted(str(each)) for each in value)
    return _quoted(str(value)) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """The text, in JSON's quotes where a spreadsheet would change it: formulas, what looks like a date, and white space."""
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text.strip()
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()
    return found if isinstance(found, str) else text


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _write_xlsx(rows: list[list[str]], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    for cells in sheet.iter_rows():
        for cell in cells:
            cell.number_format = "@"  # text: Excel would make a number of 000123 and a date of 2026/12
            cell.data_type = "s"
    sheet.freeze_panes = "B2"
    book.save(path)


def _read_csv(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fault(path, None, "the file is not in UTF-8", "Save it as CSV UTF-8") from error
    first = text.split("\n", 1)[0]
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in first else ","))


def _read_xlsx(path: Path) -> list[list[str]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, KeyError, ValueError, EOFError) as error:
        raise _fault(path, None, "this is no Excel file that can be read", "Save it as .xlsx, or as .csv") from error
    return [[_excel_text(value) for value in row] for row in book.active.iter_rows(values_only=True)]


def _excel_text(value: Any) -> str:
    """A cell as it was written: Excel makes numbers of organisation numbers, and times of days."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if hasattr(value, "date"):
        return str(value.date())
    return _cell(value)


def _from_rows(rows: list[list[str]], path: Path) -> dict[str, Any]:
    header = [cell.strip() for cell in rows[0]] if rows else []
    for column in header:
        if column and column not in COLUMNS:
            raise _fault(path, 1, f"{column!r} is no column", f"Known are: {', '.join(COLUMNS)}")
    if _KIND not in header:
        raise _fault(path, 1, f"there is no column {_KIND!r}", "Begin from what `postmottak routes export` writes")
    values: dict[str, Any] = {kind: [] for kind in _KINDS}
    for line, cells in enumerate(rows[1:], start=2):
        filled = {column: cell for column, cell in zip(header, cells, strict=False) if cell.strip()}
        if filled:
            _add_row(values, filled, path, line)
    return values


def _add_row(values: dict[str, Any], filled: dict[str, str], path: Path, line: int) -> None:
    kind = filled.pop(_KIND, "").strip().lower()
    if kind == _TABLE:
        values["follow_thread"] = filled.get("follow_thread", "").strip().lower() == "true"
        return
    if kind not in _KINDS:
        raise _fault(path, line, f"{kind!r} is no kind of row", f"Write one of: {', '.join((*_KINDS, _TABLE))}")
    model = _KINDS[kind]
    row: dict[str, Any] = {}
    for column, cell in filled.items():
        if column.startswith("not "):
            name = column.removeprefix("not ")
            row.setdefault("not", {})[name] = _value(Conditions, name, cell, path, line)
        else:
            row[column] = _value(model, column, cell, path, line)
    values[kind].append(row)


def _value(model: type[Any], column: str, cell: str, path: Path, line: int) -> Any:
    field = next((field for name, field in model.model_fields.items() if column in {name, field.alias}), None)
    if field is None:
        raise _fault(path, line, f"{column!r} does not belong to this kind of row", "Empty the cell")
    kind = str(field.annotation)
    text = cell.strip()
    if "tuple" in kind:
        return [_unquoted(part) for part in re.split(r"\r?\n", cell) if part.strip()]
    if "bool" in kind:
        return _true_or_false(text, path, line)
    if "date" in kind and "timedelta" not in kind:
        return _day(text, path, line)
    return _unquoted(text)


def _true_or_false(text: str, path: Path, line: int) -> bool:
    known = {"true": True, "sann": True, "ja": True, "1": True, "false": False, "usann": False, "nei": False, "0": False}
    if text.lower() not in known:
        raise _fault(path, line, f"{text!r} is neither true nor false", "Write true or false")
    return known[text.lower()]


def _day(text: str, path: Path, line: int) -> date:
    """A day as written here (2026-12-21), or as a Norwegian Excel writes it (21.12.2026)."""
    try:
        if "." in text:
            day, month, year = (int(piece) for piece in text.split("."))
            return date(year, month, day)
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise _fault(path, line, f"{text!r} is no date", "Write it as 2026-12-21") from error


def toml_text(values: dict[str, Any]) -> str:
    """The rows as the text of a routing.toml."""
    import tomli_w

    return tomli_w.dumps(values)


def differences(before: Table, after: Table) -> list[str]:
    """What the second table adds, removes, changes and moves, a line each."""
    lines = []
    if before.follow_thread != after.follow_thread:
        lines.append(f"~ follow_thread = {str(after.follow_thread).lower()}")
    for kind in _KINDS:
        lines += _row_differences(kind, before.rows[kind], after.rows[kind])
    return lines


def _row_differences(kind: str, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    old, new = ({_name(row): row for row in rows} for rows in (before, after))
    lines = [f"- {kind} {name}" for name in old if name not in new]
    lines += [f"+ {kind} {name}" for name in new if name not in old]
    lines += [f"~ {kind} {name}: {', '.join(_changed(old[name], new[name]))}" for name in new if name in old and old[name] != new[name]]
    if [name for name in old if name in new] != [name for name in new if name in old]:
        lines.append(f"~ the order of the {kind}s")
    return lines


def _name(row: dict[str, Any]) -> str:
    return str(row.get("name") or f"from {row['from']} from {row['starts']} to {row['ends']}")


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def replace_file(path: Path, text: str) -> None:
    """Put the text where `path` is, whole, and keep what was there as `path`.old. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        path.with_name(f"{path.name}.old").write_bytes(path.read_bytes())
    temporary.rename(path)
