"""Sheets that an import does not recognise: what stands in them must not vanish from the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import ConfigurationError
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import edited
from tests.unit.routing.small_table import (
    DESTINATIONS,
    TEXT,
    by_every_program,
    new_path,  # noqa: F401  # a fixture
    new_table,  # noqa: F401  # a fixture
)

_KINDS = ("Ruter", "Mottakere", "Fravær", "Innstillinger")


def told(path: Path) -> list[str]:
    """What somebody is told who imports this workbook, line by line."""
    with pytest.raises(ConfigurationError) as caught:
        read_sheet(path, DESTINATIONS)
    return str(caught.value).replace(f"{path}: ", "").split("\n")


@by_every_program
@pytest.mark.parametrize("kind", _KINDS)
def test_a_sheet_with_another_name_and_heading(
    table: Table, path: Path, kind: str, by: str
) -> None:
    """A sheet that its name and its headings no longer make known is refused by name, and what it
    held is named as missing."""

    def edit(book: Any) -> None:
        sheet = book[kind]
        sheet.title = "Ferie"
        for place in range(1, sheet.max_column + 1):
            if sheet.cell(1, place).value in {"Navn", "Første dag", "Følg saken"}:
                sheet.cell(1, place).value = "Hva"

    missing, unknown = told(edited(table, path, edit, language="nb", by=by))
    assert missing.startswith("the sheet ")
    assert f"or {kind!r} is missing" in missing
    assert unknown.startswith("Ferie!A1: the sheet 'Ferie' is not known")
    assert "begin the name of a sheet of your own with #" in unknown


@pytest.mark.parametrize("kind", _KINDS)
def test_a_sheet_that_is_removed(table: Table, path: Path, kind: str) -> None:
    """A workbook without one of the four sheets is refused, whichever it is."""
    (line,) = told(edited(table, path, lambda book: book.remove(book[kind]), language="nb"))
    assert f"or {kind!r} is missing" in line


def test_sheets_are_known_by_their_headings(path: Path) -> None:
    """With its headings as they were, each sheet may have any name, the settings and the legend
    too."""
    whole = parse_table(f"follow_thread = true\n{TEXT}", "routing.toml", DESTINATIONS)

    def edit(book: Any) -> None:
        for number, sheet in enumerate(book.worksheets):
            sheet.title = f"Ark{number}"

    found = read_sheet(edited(whole, path, edit, language="nb"), DESTINATIONS).table
    assert (found.rows, found.follow_thread) == (whole.rows, True)


def test_notes_of_ones_own(table: Table, path: Path) -> None:
    """A sheet of notes is refused by name, and left alone if its name begins with #, as an empty
    sheet is."""
    for title in ("Notater", "#Notater"):

        def edit(book: Any, title: str = title) -> None:
            book.create_sheet(title).append(["Husk", "å spørre Kari"])
            book.create_sheet("Ark2")

        path.unlink(missing_ok=True)
        edited(table, path, edit)
        if title.startswith("#"):
            assert read_sheet(path, DESTINATIONS).table.rows == table.rows
        else:
            (line,) = told(path)
            assert line.startswith("Notater!A1: the sheet 'Notater' is not known")


@by_every_program
def test_settings_in_two_rows(table: Table, path: Path, by: str) -> None:
    """Two rows of settings contradict each other, so the second is refused with its cell."""
    edited(table, path, lambda book: book["Innstillinger"].append(["ja"]), language="nb", by=by)
    assert told(path) == [
        (
            "Innstillinger!A3 (Følg saken): the settings appear twice, first in row 2. Remove one "
            "of the rows"
        )
    ]


def test_settings_in_two_rows_of_a_csv(table: Table, tmp_path: Path) -> None:
    """The same goes for a file with all rows in one sheet."""
    path = tmp_path / "ark.csv"
    write_sheet(table, path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    lines[1:1] = ["table" + ";" * lines[0].count(";")] * 2
    path.write_text("\n".join(lines), encoding="utf-8")
    (line,) = told(path)
    assert "the settings appear twice, first in row 2" in line
