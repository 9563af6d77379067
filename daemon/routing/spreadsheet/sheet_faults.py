"""Faults of a table that stands in a spreadsheet: they name the cell and its heading.

What the checks of routing.toml say is put into the words of the sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from daemon.core.errors import ConfigurationError, Fault
from daemon.routing.spreadsheet.grids import Grid, column_letters, in_sheet
from daemon.routing.spreadsheet.headings import ALL_COLUMNS, NOT, heading, language_of
from daemon.routing.spreadsheet.wording import with_days, yes_or_no

_KEY = re.compile(r"(?P<kind>\w+)\[(?P<number>\d+)\](?P<under_not>\.not\b)?(?:\.(?P<column>\w+))?")
_NAMED = re.compile(
    r"""\b(?P<value>\w+)\ =\ (?:\["…"\]|"…")
    |\b(?P<truth>\w+)\ =\ (?P<is>true|false)\b
    |\b(?P<column>COLUMNS)\b""".replace(
        "COLUMNS", "|".join(column for column in ALL_COLUMNS if "_" in column)
    ),
    re.VERBOSE,
)
"""How the checks speak of a value, of a truth value, and of a column."""
_PHRASES = (
    (re.compile(r"a section \[\[(\w+)\]\]"), r"a row for a \1"),
    (re.compile(r"\[\[(\w+)\]\]"), "a row"),
    (re.compile(r"^Add it$"), "Fill in the cell"),
    (re.compile(r"leave the line out"), "leave the cell empty"),
    (re.compile(r", without quotes"), ""),
)


def sheet_fault(path: Path, place: str, problem: str, remedy: str) -> ConfigurationError:
    """One fault in a spreadsheet; `place` is empty where it is in no one cell."""
    return ConfigurationError([Fault(file=str(path), key=place, problem=problem, remedy=remedy)])


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of one sheet: its row, and its columns by their places, which begin with 1."""

    grid: Grid
    shown_title: str
    """The sheet's name, or empty if there is no other sheet."""
    row: int
    columns: Mapping[int, str]
    headings: Mapping[int, str]
    """As they are written, remarks included."""

    def cell(self, row: int, place: int) -> str:
        """Return the name of a cell, with its heading: `Routes!O17 (To)`."""
        name = in_sheet(self.shown_title, f"{column_letters(place)}{row}")
        return f"{name} ({self.headings[place]})" if place in self.headings else name

    def place_of(self, row: int, column: str | None) -> str:
        """Return the name of the cell in this column; without one, of the first cell."""
        for place, each in self.columns.items():
            if column is None and each in {"name", "from"}:
                return self.cell(row, place)
            if each == column:
                return self.cell(row, place)
        missing = f" ({column})" if column else ""
        return f"{in_sheet(self.shown_title, str(row))}{missing}"

    def called(self, column: str) -> str:
        """Return the heading of a column as this sheet has it, or else would have it."""
        found = (self.headings[place] for place, each in self.columns.items() if each == column)
        return next(found, heading(column, self.language))

    @cached_property
    def language(self) -> str:
        """The language of its headings; empty for the keys of routing.toml."""
        return language_of([self.headings[place] for place in self.columns])


@dataclass(kw_only=True)
class Places:
    """Where each row of the table stands, by its kind and its number, which begins with 1."""

    path: Path
    headers: list[Header] = field(default_factory=list)
    rows: dict[tuple[str, int], tuple[Header, int]] = field(default_factory=dict)

    def translated(self, faults: Iterable[Fault]) -> Iterator[Fault]:
        """Yield faults of the table's text as faults of the sheet."""
        for fault in faults:
            yield self._translated(fault)

    def _translated(self, fault: Fault) -> Fault:
        found = _KEY.match(fault.key)
        header, row = (
            self.rows.get((found["kind"], int(found["number"])), (None, 0)) if found else (None, 0)
        )
        if header is None or found is None:
            names, place = (self.headers[0] if self.headers else None), ""
        else:
            column = found["column"]
            if column and found["under_not"]:
                column = f"{NOT}{column}"
            names, place = header, header.place_of(row, column)
        return Fault(
            file=str(self.path),
            key=place,
            problem=_in_words_of(names, fault.problem),
            remedy=_in_words_of(names, fault.remedy),
        )


def _in_words_of(header: Header | None, text: str) -> str:
    if header is None:
        return text
    for pattern, words in _PHRASES:
        text = pattern.sub(words, text)
    text = _NAMED.sub(lambda found: _named(header, found), text)
    return with_days(text, header.language)


def _named(header: Header, found: re.Match[str]) -> str:
    column = found["value"] or found["truth"] or found["column"]
    called = f'"{header.called(column)}"'
    if found["value"]:
        return f"a value under {called}"
    if found["truth"]:
        return f"{yes_or_no(found['is'] == 'true', header.language)} under {called}"
    return called
