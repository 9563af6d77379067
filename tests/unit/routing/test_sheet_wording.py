"""A sheet is answered in its own words, and all that is wrong with it is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import ConfigurationError
from daemon.routing.spreadsheet.diff import differences
from daemon.routing.spreadsheet.diff_text import difference_lines
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.table import Table
from tests.unit.routing.books import cell, edited
from tests.unit.routing.small_table import (
    DESTINATIONS,
    new_path,  # noqa: F401  # a fixture
    new_table,  # noqa: F401  # a fixture
)

AGAIN = "Format the cell as text, and enter the value again"
CORRECT = "Correct the first or the last day"


def told(path: Path) -> list[str]:
    """What somebody is told who imports this workbook, line by line."""
    with pytest.raises(ConfigurationError) as caught:
        read_sheet(path, DESTINATIONS)
    return str(caught.value).replace(f"{path}: ", "").split("\n")


def test_all_faults_of_a_norwegian_sheet_come_at_once_in_its_words(
    table: Table, path: Path
) -> None:
    """Cells that cannot be read and rules that the rest breaks are told together: yes, no and days
    as they stand in the sheet, and no second fault for a cell, or for a row that names one."""

    def edit(book: Any) -> None:
        cell(book, "Ruter", 2, "I bruk").value = "kanskje"
        cell(book, "Ruter", 2, "Saksnumre").value = True
        cell(book, "Ruter", 3, "Til").value = "pots"
        cell(book, "Fravær", 2, "Siste dag").value = "01.01.2026"
        book["Fravær"].append(["post", "lonn", "21. juli", "31.07.2027"])

    assert [each.partition("!")[2] for each in told(edited(table, path, edit, language="nb"))] == [
        f"J2 (Saksnumre): Excel has turned this cell into true or false: SANN. {AGAIN}",
        "Y2 (I bruk): 'kanskje' must be ja or nei. Write ja or nei",
        "C3 (Første dag): '21. juli' is not a date. Write it as 21.12.2026",
        "E3 (Til): 'pots' is not a known recipient. Did you mean 'post'?",
        f"D2 (Siste dag): 01.01.2026 is before 21.12.2026, the first day. {CORRECT}",
    ]


def test_a_row_that_is_not_known_is_told_first(table: Table, path: Path) -> None:
    """Where a name cannot be read, nothing is said of rows that use it."""

    def edit(book: Any) -> None:
        cell(book, "Recipients", 2, "Name").value = True
        cell(book, "Routes", 2, "To").value = "lonm"

    (only,) = told(edited(table, path, edit, language="en"))
    assert only.startswith("Recipients!A2 (Name): Excel has turned")


def test_headings_and_sheets_are_told_together(table: Table, path: Path) -> None:
    """A sheet of another name and a heading of another name are both told at once."""

    def edit(book: Any) -> None:
        book["Ruter"]["C1"].value = "Avsendre"
        book.create_sheet("Ekstra").append(["Hva", "er dette"])

    first, second = told(edited(table, path, edit, language="nb"))
    assert first.startswith("Ekstra!A1: the sheet 'Ekstra' is not known")
    assert second == (
        "Ruter!C1: 'Avsendre' is not a known heading. Did you mean 'Avsendere'? A heading that "
        "begins with # is for remarks"
    )


def test_a_preview_of_a_norwegian_sheet_has_its_words(table: Table, path: Path) -> None:
    """Yes, no and days are shown as they stand in the sheet; what stands in quotes stays."""

    def edit(book: Any) -> None:
        cell(book, "Ruter", 2, "I bruk").value = "nei"
        cell(book, "Ruter", 2, "Tittel inneholder").value = "frist 2026-12-21"
        cell(book, "Fravær", 2, "Siste dag").value = "04.01.2027"

    read = read_sheet(edited(table, path, edit, language="nb"), DESTINATIONS)
    route, cover = difference_lines(differences(table, read.table), read.language)
    assert "I bruk: ja -> nei" in route
    assert '"frist 2026-12-21"' in route
    assert "21.12.2026 to 03.01.2027: Siste dag: 03.01.2027 -> 04.01.2027" in cover


def test_a_norwegian_sheet_has_norwegian_days(table: Table, tmp_path: Path) -> None:
    """A CSV file has days as a Norwegian Excel writes them, and they are read again."""
    from daemon.routing.spreadsheet.table_rows import write_sheet

    path = tmp_path / "tabell.csv"
    write_sheet(table, path, "nb")
    assert "21.12.2026" in path.read_text(encoding="utf-8-sig")
    assert "2026-12-21" not in path.read_text(encoding="utf-8-sig")
    assert differences(table, read_sheet(path, DESTINATIONS).table) == []
