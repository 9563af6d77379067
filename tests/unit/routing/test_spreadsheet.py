"""The table in a spreadsheet: as Excel opens it, as Excel gives it back, and what is wrong with a
sheet, by its own lines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from daemon.core.errors import ConfigurationError
from daemon.routing.spreadsheet.diff import differences
from daemon.routing.spreadsheet.diff_text import difference_lines
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table, parse_table

DESTINATIONS = ["erp", "epost"]
TEXT = """\
follow_thread = true

[[recipient]]
name = "lønn"
title = "=HYPERLINK(1)"
deliver_to = ["erp", "epost"]

[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Lønn og skatt"
services = ["4255/8"]
senders = ["974761076"]
case_numbers = ["2026/12", "des 2026"]
senders_reference = ["00123"]
has_attachments = true
to = ["lønn"]

[route.not]
title_contains = ["1/2"]

[[route]]
name = "Alt annet"
to = ["post"]

[[delegation]]
from = "lønn"
to = "post"
starts = 2026-12-21
ends = 2027-01-03
"""


@pytest.fixture
def table() -> Table:
    """A table with everything that Excel likes to change."""
    return parse_table(TEXT, "routing.toml", DESTINATIONS)


def told(path: Path) -> str:
    """What somebody is told who imports this sheet."""
    with pytest.raises(ConfigurationError) as caught:
        read_sheet(path, DESTINATIONS)
    return str(caught.value).replace(f"{path}", path.name)


def csv_of(tmp_path: Path, *rows: dict[str, str]) -> Path:
    """A sheet of a recipient, a last route, and these rows."""
    fixed = [
        {"kind": "recipient", "name": "post", "deliver_to": "erp"},
        *rows,
        {"kind": "route", "name": "Alt annet", "to": "post"},
    ]
    columns = list(dict.fromkeys(key for row in fixed for key in row))
    lines = [columns, *([row.get(column, "") for column in columns] for row in fixed)]
    path = tmp_path / "ark.csv"
    path.write_text("\r\n".join(";".join(line) for line in lines), encoding="utf-8-sig")
    return path


def test_csv_opens_by_a_double_click(tmp_path: Path, table: Table) -> None:
    """A Norwegian Excel needs the byte order mark and semicolons; no cell is left that it would
    take for a formula or a month."""
    path = tmp_path / "ark.csv"
    write_sheet(table, path)
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfkind;")
    lines = content.decode("utf-8-sig").split("\r\n")
    assert '"""=HYPERLINK(1)"""' in lines[2]
    for word in ("2026/12", "des 2026", "00123", "1/2"):
        assert f'""{word}""' in content.decode()
    assert "4255/8" not in content.decode()
    assert "skatter-avgifter" in content.decode()
    assert "lønn" in content.decode()


def test_csv_as_a_norwegian_excel_saves_it(tmp_path: Path, table: Table) -> None:
    """SANN, days with dots, empty columns and empty rows at the end make no difference."""
    path = tmp_path / "ark.csv"
    write_sheet(table, path)
    text = (
        path.read_text(encoding="utf-8-sig")
        .replace("true", "SANN")
        .replace("2026-12-21", "21.12.2026")
        .replace("2027-01-03", "3.1.2027")
    )
    path.write_bytes((text + ";" * 40 + "\r\n;;;\r\n").encode("utf-8-sig"))
    assert differences(table, read_sheet(path, DESTINATIONS).table) == []


def test_xlsx_comes_back_whatever_excel_made_of_it(tmp_path: Path, table: Table) -> None:
    """Every cell but a day is text, also the new ones; numbers, days and truth values that Excel
    made of some come back as what they were."""
    path = tmp_path / "ark.xlsx"
    write_sheet(table, path)
    book: Any = load_workbook(path)
    filled = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value]
    days = [cell for cell in filled if cell.data_type == "d"]
    assert {cell.coordinate for cell in days} == {"C2", "D2"}
    assert {cell.number_format for cell in filled if cell not in days} == {"@"}
    assert {cell.data_type for cell in filled if cell not in days} <= {"s", "inlineStr"}
    assert book["Routes"].column_dimensions["B"].number_format == "@"
    for cell in filled:
        cell.value = {"974761076": 974761076.0, "yes": True}.get(cell.value, cell.value)
    for cell in days:
        cell.value, cell.number_format = f"{cell.value:%d.%m.%Y}", "@"
    book.save(path)
    assert differences(table, read_sheet(path, DESTINATIONS).table) == []


def test_a_date_where_text_belongs(tmp_path: Path) -> None:
    """A case number that Excel has made a date of is refused, for nobody can know what it was."""
    book: Any = Workbook()
    book.active.append(["kind", "name", "deliver_to", "case_numbers", "to"])
    book.active.append(["recipient", "post", "erp", None, None])
    # Excel knows no zones
    book.active.append(["route", "x", None, datetime(2026, 12, 1), "post"])  # noqa: DTZ001
    book.save(tmp_path / "ark.xlsx")
    expected = (
        "case_numbers): Excel has turned this cell into a date: 2026-12-01. Format the cell "
        "as text, and enter the value again"
    )
    assert told(tmp_path / "ark.xlsx") == f"ark.xlsx: D3 ({expected}"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"kind": "reglement"},
            (
                "ark.csv: A3 (kind): 'reglement' is not a known kind of row. Use one of: "
                "recipient, route, delegation, party_group, "
                "table"
            ),
        ),
        (
            {"kind": "route", "name": "x", "email": "a@b.no"},
            "ark.csv: D3 (email): this kind of row does not have this column. Empty the cell",
        ),
        (
            {"kind": "route", "name": "x", "enabled": "kanskje"},
            "ark.csv: D3 (enabled): 'kanskje' must be true or false. Write true or false",
        ),
        (
            {"kind": "delegation", "from": "post", "starts": "12/21/2026"},
            (
                "ark.csv: E3 (starts): '12/21/2026' is not a date. Write it as 2026-12-21\n"
                "ark.csv: 3 (ends): is required. Fill in the cell"
            ),
        ),
        (
            {"kind": "route", "name": "x", "services": "4255/8", "to": "pots"},
            "ark.csv: E3 (to): 'pots' is not a known recipient. Did you mean 'post'?",
        ),
        (
            {"kind": "table", "follow_thread": "x"},
            "ark.csv: D3 (follow_thread): 'x' must be true or false. Write true or false",
        ),
    ],
)
def test_mistakes_in_a_sheet(tmp_path: Path, row: dict[str, str], expected: str) -> None:
    """A fault names the sheet's own line and column, with a remedy."""
    assert told(csv_of(tmp_path, row)) == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "ark.ods",
            b"",
            ("ark.ods: the name must end in .csv or .xlsx. Rename the file"),
        ),
        (
            "ark.xlsx",
            b"PK not really",
            "ark.xlsx: this is not a readable Excel file. Save it as .xlsx, or as .csv",
        ),
        (
            "ark.csv",
            "kind;name\nroute;Lønn".encode("cp1252"),
            "ark.csv: the file is not in UTF-8. Save it as CSV UTF-8",
        ),
        (
            "ark.csv",
            b"",
            (
                "ark.csv: A1: the column 'kind' is missing. Start from the output of "
                "`postmottak routes export`"
            ),
        ),
        (
            "ark.csv",
            b"kind;nvn",
            (
                "ark.csv: B1: 'nvn' is not a known heading. Did you mean 'Navn'? A heading that "
                "begins with # is for remarks"
            ),
        ),
        (
            "ark.csv",
            b"kind;name;name",
            "ark.csv: C1: the column 'name' appears twice, first in B1. Remove one of them",
        ),
        (
            "ark.csv",
            b"kind;name\nroute;x;y",
            (
                "ark.csv: C2: the column has no heading, but this cell has content. Empty the "
                "cell, "
                "or give the column a heading that begins with #"
            ),
        ),
        (
            "ark.csv",
            b'kind;name\nroute;"' + b"x" * 200_000 + b'"',
            (
                "ark.csv: this is not a readable CSV file: field larger than field limit "
                "(131072). Save it as CSV UTF-8, or as .xlsx"
            ),
        ),
    ],
)
def test_files_that_are_no_sheet(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """A file that cannot be read as a sheet is told in words, never by a traceback."""
    (tmp_path / name).write_bytes(content)
    assert told(tmp_path / name) == expected


def test_more_than_a_cell_holds(tmp_path: Path) -> None:
    """What Excel would cut off is refused when it is written; CSV holds it."""
    senders = ", ".join(f'"etat nummer {number:05d}"' for number in range(2000))
    text = TEXT.replace('senders = ["974761076"]', f"senders = [{senders}]")
    table = parse_table(text, "routing.toml", DESTINATIONS)
    with pytest.raises(
        ConfigurationError, match="the text is longer than the 32767 characters that fit in a cell"
    ):
        write_sheet(table, tmp_path / "ark.xlsx")
    write_sheet(table, tmp_path / "ark.csv")
    assert read_sheet(tmp_path / "ark.csv", DESTINATIONS).table.rows == table.rows


def test_two_covers_that_look_alike(table: Table) -> None:
    """Of two covers with the same name and days, a change of the second shows as well."""
    second = (
        '[[delegation]]\nfrom = "lønn"\nto = "post"\nstarts = 2026-12-21\nends = '
        '2027-01-03\nservices = ["4255/8"]\n'
    )
    one = parse_table(TEXT + second, "routing.toml", DESTINATIONS)
    two = parse_table(TEXT + second.replace("4255/8", "4255/7"), "routing.toml", DESTINATIONS)
    cover = 'cover for "lønn" by "post", 2026-12-21 to 2027-01-03'
    assert difference_lines(differences(table, one)) == [
        f'+ {cover}, position 2: services: "4255/8"'
    ]
    assert difference_lines(differences(one, two)) == [f'~ {cover}: services: "4255/8" -> "4255/7"']


@pytest.mark.parametrize("name", ["sheet.csv", "sheet.xlsx"])
def test_sheets_of_older_versions(name: str) -> None:
    """What a version with one sheet for all rows has exported is read as it was."""
    folder = Path(__file__).parents[1] / "data" / "old-sheet"
    table = parse_table((folder / "routing.toml").read_text(), "routing.toml", DESTINATIONS)
    assert differences(table, read_sheet(folder / name, DESTINATIONS).table) == []


@pytest.mark.parametrize(
    "line",
    ["sep=;", "SEP=;", '"sep=;"', "sep=;;;;;;", " sep=; ", "sep=;\t\t"],
)
def test_the_line_that_names_the_separator(tmp_path: Path, table: Table, line: str) -> None:
    """Excel's own first line is read, also quoted or padded, and does not count as a row, as in
    Excel."""
    path = tmp_path / "ark.csv"
    write_sheet(table, path, "nb")
    text = path.read_text(encoding="utf-8-sig")
    path.write_bytes(f"{line}\r\n{text}".encode("utf-8-sig"))
    assert differences(table, read_sheet(path, DESTINATIONS).table) == []
    path.write_bytes(f"{line}\r\n{text.replace('annet;post', 'annet;pots')}".encode("utf-8-sig"))
    assert "ark.csv: O6 (Til): 'pots' is not a known recipient." in told(path)


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_norwegian_headings_and_any_separator(tmp_path: Path, delimiter: str) -> None:
    """Without that line, the heading says what separates the cells."""
    rows = [
        ["Type", "Navn", "Mål", "Tittel inneholder", "Til", "# Merknad"],
        ["Mottaker", "post", "erp", "", "", ""],
        ["Rute", "Skatt", "", '"krav; mva, skatt"', "post", '"ring; Kari, nå"'],
        ["rute", "Alt annet", "", "", "post", ""],
    ]
    path = tmp_path / "ark.csv"
    path.write_text("\r\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig")
    routes = read_sheet(path, DESTINATIONS).table.rows["route"]
    assert routes[0] == {
        "name": "Skatt",
        "title_contains": ["krav", "mva", "skatt"],
        "to": ["post"],
    }


def test_a_part_of_a_table(tmp_path: Path) -> None:
    """A single sheet without the column that says what each row is is refused, whatever else it
    has."""
    path = tmp_path / "ark.csv"
    path.write_text("name;to\nSkatt;post", encoding="utf-8-sig")
    assert told(path).startswith("ark.csv: A1: the column 'kind' is missing.")
