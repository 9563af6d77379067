"""Reads the table in a spreadsheet: finds its sheets, their columns, and the rows in them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from daemon.core.errors import ConfigurationError, Fault
from daemon.routing.rows import Conditions
from daemon.routing.spreadsheet.cells import Cell, from_cell, true_or_false
from daemon.routing.spreadsheet.diff import toml_text
from daemon.routing.spreadsheet.files import read_grids
from daemon.routing.spreadsheet.grids import Grid, column_letters, in_sheet
from daemon.routing.spreadsheet.headings import (
    ALL_COLUMNS,
    KIND,
    LATER_SHEETS,
    MODELS,
    NOT,
    REMARK,
    SHEETS,
    TABLE,
    column_called,
    columns_of,
    heading,
    kind_called,
    kind_of_sheet,
    kind_word,
    language_of,
)
from daemon.routing.spreadsheet.legend import is_legend
from daemon.routing.spreadsheet.quoting import Unreadable
from daemon.routing.spreadsheet.remarks import add_remark
from daemon.routing.spreadsheet.sheet_faults import Header, Places, sheet_fault
from daemon.routing.table import SECTIONS, Table, parse_table

_UNREAD = 0.5
_EXPORT = "Start from the output of `postmottak routes export`"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A table as a spreadsheet has it."""

    table: Table
    language: str
    """The language of the headings; empty for the keys of routing.toml."""


def read_sheet(path: Path, destinations: Sequence[str], *, today: date | None = None) -> Imported:
    """Return the table in a spreadsheet.

    With `today`, its warnings name covers that have ended. Raises ConfigurationError; its faults
    name the cells.
    """
    reader = _Reader(path, read_grids(path))
    reader.read()
    try:
        table = parse_table(toml_text(reader.values), str(path), destinations, today=today)
    except ConfigurationError as error:
        raise ConfigurationError(reader.all_faults(error.faults)) from error
    reader.raise_if_any()
    warnings = (*reader.places.translated(table.warnings), *reader.lost_remarks)
    table = replace(table, warnings=warnings)
    return Imported(table=table, language=reader.language)


class _Reader:
    """Collects the rows of all sheets, and every fault in them."""

    def __init__(self, path: Path, grids: Sequence[Grid]) -> None:
        self._path, self._grids = path, grids
        self._faults: list[Fault] = []
        self.values: dict[str, Any] = {kind: [] for kind in SECTIONS}
        self.places = Places(path=path)
        self.language = ""
        self.lost_remarks: list[Fault] = []
        self._settings_row = 0
        self._unread: set[str] = set()
        """The cells that were not read, by their names."""
        self._rows_are_known = True

    def read(self) -> None:
        """Read everything, and keep the faults of the cells.

        A value that was not read is `_UNREAD`, which is no value of any column. Raises
        ConfigurationError if it is not known which rows there are, so that no check of the table
        makes sense.
        """
        headers = dict(self._headers())
        headings: list[str] = []
        for kind, header in headers.items():
            self._check_header(header, kind)
            headings += [header.headings[place] for place in header.columns]
        self.raise_if_any()
        self.language = language_of(headings)
        self.places.headers += headers.values()
        for kind, header in headers.items():
            self._refuse_merged(header)
            for row, cells in self._rows(header):
                self._add_row(kind, header, row, cells)
        if not self._rows_are_known:
            self.raise_if_any()

    def all_faults(self, of_the_table: Sequence[Fault]) -> list[Fault]:
        """Return the faults of the cells, and those of the table, without a cell's second one."""
        translated = self.places.translated(of_the_table)
        return [*self._faults, *(each for each in translated if each.key not in self._unread)]

    def _headers(self) -> Iterator[tuple[str, Header]]:
        """Yield the header of each sheet of the table, by the kind of its rows."""
        found: dict[str, list[Header]] = {}
        unknown: list[Grid] = []
        several = len(self._grids) > 1
        for grid in self._grids:
            header = _header(grid, grid.title if several else "")
            if not header or _is_beside_the_table(header):
                continue
            kind = kind_of_sheet(grid.title, header.columns.values())
            if kind:
                found.setdefault(kind, []).append(header)
            else:
                unknown.append(grid)
        several_parts = [each for each in found.values() if len(each) > 1]
        if several_parts or (KIND in found and len(found) > 1):
            self._refuse_several(several_parts or [*found.values()])
        self._require(found, unknown)
        for kind, (header,) in found.items():
            yield kind, header

    def _refuse_several(self, parts: Sequence[Sequence[Header]]) -> None:
        names = ", ".join(repr(header.grid.title) for headers in parts for header in headers)
        raise sheet_fault(
            self._path,
            "",
            f"several sheets (some may be hidden) hold the same part of the table: {names}",
            "Keep only one of them, or begin the names of the others with #",
        )

    def _require(self, found: Mapping[str, Sequence[Header]], unknown: Sequence[Grid]) -> None:
        """Refuse a file that is only a part of a table, or nothing of one.

        What stands in a sheet that is not recognised would otherwise be removed from the table.
        """
        if KIND not in found:
            self._require_sheets(found)
        for grid in unknown:
            self._add(
                in_sheet(grid.title, "A1"),
                f"the sheet {grid.title!r} is not known, and would be left out of the table",
                f"Give it its name ({_sheet_names()}) and its headings back; begin the name of a "
                "sheet of your own with #",
            )

    def _require_sheets(self, found: Mapping[str, Sequence[Header]]) -> None:
        if not found or len(self._grids) == 1:
            place = in_sheet(self._grids[0].title if len(self._grids) > 1 else "", "A1")
            raise sheet_fault(self._path, place, f"the column {KIND!r} is missing", _EXPORT)
        for kind in SHEETS["en"]:
            if kind not in found and kind not in LATER_SHEETS:
                names = " or ".join(repr(SHEETS[language][kind]) for language in SHEETS)
                self._add("", f"the sheet {names} is missing", _EXPORT)

    def _check_header(self, header: Header, kind: str) -> None:
        known = ALL_COLUMNS if kind == KIND else columns_of(kind)
        seen: dict[str, int] = {}
        for place, text in header.headings.items():
            if text.startswith(REMARK):
                continue
            column = header.columns.get(place)
            cell = in_sheet(header.shown_title, f"{column_letters(place)}{header.row}")
            if column not in known:
                remedy = _remedy_for_heading(text, known)
                self._add(cell, f"{text!r} is not a known heading", remedy)
            elif column in seen:
                first = f"{column_letters(seen[column])}{header.row}"
                self._add(
                    cell,
                    f"the column {text!r} appears twice, first in {first}",
                    "Remove one of them",
                )
            seen.setdefault(str(column), place)

    def _refuse_merged(self, header: Header) -> None:
        """Refuse merged cells with content.

        Of cells that look like one, only the first has what is seen in all of them.
        """
        from openpyxl.utils import range_boundaries

        for area in header.grid.merged:
            left, top, right, _ = (edge or 1 for edge in range_boundaries(area))
            places = [place for place in header.columns if left <= place <= right]
            if places and _cell_at(header.grid, top, left):
                name = in_sheet(header.shown_title, area)
                self._add(
                    f"{name} ({header.headings[places[0]]})",
                    "the cells are merged, so that only the first of them has a value",
                    "Unmerge and fill them",
                )

    def _rows(self, header: Header) -> Iterator[tuple[int, dict[int, Cell]]]:
        """Yield the rows below the header that have content besides remarks."""
        for row, cells in enumerate(header.grid.rows[header.row :], start=header.row + 1):
            filled = {place: cell for place, cell in enumerate(cells, start=1) if str(cell).strip()}
            for place in sorted(filled.keys() - header.headings.keys()):
                self._add(
                    header.cell(row, place),
                    "the column has no heading, but this cell has content",
                    "Empty the cell, or give the column a heading that begins with #",
                )
            if filled.keys() & header.columns.keys():
                yield row, filled
            else:
                self._warn_of_lost(header, row, filled, "a row that has nothing else")

    def _add_row(self, kind: str, header: Header, row: int, cells: dict[int, Cell]) -> None:
        if kind == KIND:
            place = next(place for place, column in header.columns.items() if column == KIND)
            word = str(cells.pop(place, "")).strip()
            known = kind_called(word)
            if known is None:
                self._add(
                    header.cell(row, place),
                    f"{word.lower()!r} is not a known kind of row",
                    f"Use one of: {', '.join(self._kinds())}",
                )
                return
            kind = known
        values = self._values_of(kind, header, row, cells)
        if kind == TABLE:
            self._set(header, row, values)
        else:
            self.values[kind].append(values)
            self.places.rows[kind, len(self.values[kind])] = header, row

    def _kinds(self) -> Iterator[str]:
        return (kind_word(kind, self.language) for kind in (*SECTIONS, TABLE))

    def _set(self, header: Header, row: int, values: dict[str, Any]) -> None:
        """Take what holds for the whole table, which one row may say."""
        if self._settings_row:
            self._add(
                header.place_of(row, "follow_thread"),
                f"the settings appear twice, first in row {self._settings_row}",
                "Remove one of the rows",
            )
            return
        self._settings_row = row
        self.values.update({"follow_thread": False} | values)

    def _values_of(
        self, kind: str, header: Header, row: int, cells: Mapping[int, Cell]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if kind == TABLE:
            self._warn_of_lost(header, row, cells, "the settings")
        for place, cell in cells.items():
            if place not in header.columns:
                if kind != TABLE and place in header.headings:
                    add_remark(values, header.headings[place], cell)
                continue
            try:
                _put(values, kind, header.columns[place], cell, self.language)
            except Unreadable as error:
                self._add_unread(values, kind, header, (row, place), error)
        return values

    def _add_unread(
        self,
        values: dict[str, Any],
        kind: str,
        header: Header,
        where: tuple[int, int],
        error: Unreadable,
    ) -> None:
        column, cell = header.columns[where[1]], header.cell(*where)
        self._faults.append(
            Fault(file=str(self._path), key=cell, problem=error.problem, remedy=error.remedy)
        )
        self._unread.add(cell)
        if column in {"name", "from"}:
            self._rows_are_known = False
        elif column.startswith(NOT):
            values.setdefault("not", {})[column.removeprefix(NOT)] = _UNREAD
        elif kind != TABLE:
            values[column] = _UNREAD

    def _warn_of_lost(
        self, header: Header, row: int, cells: Mapping[int, Cell], where: str
    ) -> None:
        """Warn of the remarks in a row that have no place in routing.toml."""
        for place in sorted(cells.keys() & (header.headings.keys() - header.columns.keys())):
            fault = Fault(
                file=str(self._path),
                key=header.cell(row, place),
                problem=f"an import does not keep a remark about {where}",
                remedy="Move it to the row of a route, a recipient or a cover",
            )
            self.lost_remarks.append(fault)

    def _add(self, place: str, problem: str, remedy: str) -> None:
        self._rows_are_known = False
        self._faults.append(Fault(file=str(self._path), key=place, problem=problem, remedy=remedy))

    def raise_if_any(self) -> None:
        """Raise ConfigurationError if there is a fault in the sheets."""
        if self._faults:
            raise ConfigurationError(self._faults)


def _header(grid: Grid, shown_title: str) -> Header | None:
    """Return the header of a sheet, its first row with content; None for an empty sheet."""
    for row, cells in enumerate(grid.rows, start=1):
        headings = {
            place: str(cell).strip()
            for place, cell in enumerate(cells, start=1)
            if str(cell).strip()
        }
        if headings:
            columns = {place: column_called(text) for place, text in headings.items()}
            return Header(
                grid=grid,
                shown_title=shown_title,
                row=row,
                columns={
                    place: column
                    for place, column in columns.items()
                    if column and not headings[place].startswith(REMARK)
                },
                headings=headings,
            )
    return None


def _is_beside_the_table(header: Header) -> bool:
    """Return whether a sheet is people's own, or the legend."""
    title = header.grid.title
    return title.startswith(REMARK) or is_legend(title, header.headings.values())


def _sheet_names() -> str:
    return ", ".join(f"{SHEETS['en'][kind]} or {SHEETS['nb'][kind]}" for kind in SHEETS["en"])


def _remedy_for_heading(text: str, known: Sequence[str]) -> str:
    headings = {
        written.lower(): written
        for language in ("", "nb", "en")
        for written in (heading(column, language) for column in known)
    }
    close = difflib.get_close_matches(text.lower(), headings, n=1, cutoff=0.75)
    hint = f"Did you mean {headings[close[0]]!r}? " if close else ""
    return f"{hint}A heading that begins with # is for remarks"


def _cell_at(grid: Grid, row: int, place: int) -> bool:
    """Return whether the cell has content."""
    cells = grid.rows[row - 1] if row <= len(grid.rows) else []
    return place <= len(cells) and bool(str(cells[place - 1]).strip())


def _put(values: dict[str, Any], kind: str, column: str, cell: Cell, language: str) -> None:
    if kind == TABLE and column == "follow_thread":
        values[column] = true_or_false(cell, language)
    elif kind == "route" and column.startswith(NOT):
        name = column.removeprefix(NOT)
        values.setdefault("not", {})[name] = from_cell(
            name, _annotation(Conditions, name), cell, language
        )
    else:
        values[column] = from_cell(column, _annotation(MODELS.get(kind), column), cell, language)


def _annotation(model: type[BaseModel] | None, column: str) -> Any:
    for name, field in model.model_fields.items() if model else ():
        if column == (field.alias or name):
            return field.annotation
    raise Unreadable("this kind of row does not have this column", "Empty the cell")
