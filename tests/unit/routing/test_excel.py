"""What people and Excel do to the table in a workbook, and what is read of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.table import Table
from tests.unit.routing.books import cell, edited, setting
from tests.unit.routing.small_table import (
    DESTINATIONS,
    by_every_program,
    new_path,  # noqa: F401  # a fixture
    new_table,  # noqa: F401  # a fixture
    with_routes,
)

TODAY = date(2026, 11, 1)


def first_route(path: Path) -> dict[str, Any]:
    """The first route, as the workbook says it."""
    route: dict[str, Any] = read_sheet(path, DESTINATIONS).table.rows["route"][0]
    return route


def routes_read(
    table: Table, path: Path, values: Sequence[tuple[str, object]], by: str
) -> list[Any]:
    """What is read of each of these values, below this heading of a route."""
    read = read_sheet(with_routes(table, path, values, by), DESTINATIONS)
    found = []
    for (heading, _), route in zip(values, read.table.rows["route"][1:], strict=False):
        under_not, _, name = heading.lower().replace(" ", "_").rpartition(":_")
        found.append((route["not"] if under_not else route).get(name))
    return found


SEVERAL: list[tuple[str, str, list[str]]] = [
    ("Senders", "971040238, 958935420", ["971040238", "958935420"]),
    ("Senders", "971040238;958935420", ["971040238", "958935420"]),
    ("Senders", "971040238\n958935420\r\nSkatt*", ["971040238", "958935420", "Skatt*"]),
    (
        "Senders",
        "971\u00a0040\u00a0238, Skatt\u00a0vest,958 935 420",
        ["971040238", "Skatt vest", "958935420"],
    ),
    ("Parties", "971040238, 958935420", ["971040238", "958935420"]),
    ("Title contains", "krav om, pålegg", ["krav om", "pålegg"]),
    ("Title contains", "krav om ;pålegg;, \n", ["krav om", "pålegg"]),
    ("Title contains", '"krav om, pålegg"; vedtak', ["krav om, pålegg", "vedtak"]),
    ("Not: title contains", "krav om, pålegg", ["krav om", "pålegg"]),
    ("Case numbers", "2026/12; 2026/13", ["2026/12", "2026/13"]),
    ("Services", "4255/8, naeringsutvikling", ["4255/8", "4255/7"]),
    ("To", "lonn, post", ["lonn", "post"]),
    ("Copy to", "lonn;post", ["lonn", "post"]),
    ("Deliver to", "arkiv; erp", ["arkiv", "erp"]),
    ("Attachment types", "pdf, image/*", ["pdf", "image/*"]),
    ("Language", "nb,nn", ["nb", "nn"]),
]


@by_every_program
def test_several_values_in_a_cell(table: Table, path: Path, by: str) -> None:
    """A comma, a semicolon and a line break part values, but within quotation marks."""
    written = [(heading, value) for heading, value, _ in SEVERAL]
    assert routes_read(table, path, written, by) == [read for *_, read in SEVERAL]


@pytest.mark.parametrize("heading", ["Name", "Title matches"])
def test_one_value_keeps_its_commas(table: Table, path: Path, heading: str) -> None:
    """Where one value belongs, a comma is a part of it."""
    edited(table, path, setting("Routes", 2, heading, "krav om, pålegg; x"))
    assert first_route(path)[heading.lower().replace(" ", "_")] == "krav om, pålegg; x"


QUOTED: list[tuple[str, list[str]]] = [
    ("\u201ckrav om\u201d, \u201dpålegg\u201d", ["krav om", "pålegg"]),
    ("\u201ekrav om, pålegg\u201c", ["krav om, pålegg"]),
    ("\u00abkrav om, pålegg\u00bb; vedtak", ["krav om, pålegg", "vedtak"]),
    ('""krav om"", ""2026/12""', ["krav om", "2026/12"]),
    ('"krav ""om"", pålegg"', ['krav "om", pålegg']),
    ("\u2018krav om\u2019, 'pålegg'", ["krav om", "pålegg"]),
    (
        'brev om "krav", \u201cvedtak\u201d om mva',
        ['brev om "krav"', "\u201cvedtak\u201d om mva"],
    ),
    ("'s-Hertogenbosch, 5\" rør", ["'s-Hertogenbosch", '5" rør']),
    (r'"\bmva, \d+"', [r"\bmva, \d+"]),
    (r'"2026\\12", "a\"b"', [r"2026\12", 'a"b']),
]


@by_every_program
def test_quotation_marks(table: Table, path: Path, by: str) -> None:
    """Quotation marks around a value, curled or doubled ones too, are not a part of it; those
    within it are."""
    written = [("Title contains", value) for value, _ in QUOTED]
    assert routes_read(table, path, written, by) == [read for _, read in QUOTED]


NUMBERS: list[object] = [
    "971 040 238",
    "971\u00a0040\u00a0238",
    "971\u2009040\u2009238",
    "971\u202f040\u202f238",
    "\u200b971040238\ufeff",
    "\u201c971\u00a0040\u00a0238\u201d",
    "'971040238'",
    971040238,
    971040238.0,
]


@by_every_program
@pytest.mark.parametrize("heading", ["Senders", "Parties", "Not: senders"])
def test_numbers_are_numbers(table: Table, path: Path, by: str, heading: str) -> None:
    """An organisation number is one however it is spaced, quoted or stored."""
    written = [(heading, value) for value in NUMBERS]
    assert routes_read(table, path, written, by) == [["971040238"]] * len(NUMBERS)


def test_names_with_digits_are_names(table: Table, path: Path) -> None:
    """A name may have digits, and a pattern too."""
    edited(table, path, setting("Routes", 2, "Senders", "3T, 7-Eleven, 360*, Kommune 1506"))
    assert first_route(path)["senders"] == ["3T", "7-Eleven", "360*", "Kommune 1506"]


@by_every_program
def test_services_that_excel_made_months_of(table: Table, path: Path, by: str) -> None:
    """4255/8 becomes August of the year 4255 in Excel, which can mean nothing else."""

    def edit(book: Any) -> None:
        found = cell(book, "Routes", 2, "Services")
        found.value, found.number_format = datetime(4255, 8, 1), "mmm-yy"  # noqa: DTZ001

    edited(table, path, edit, by=by)
    assert first_route(path)["services"] == ["4255/8"]


DAYS: list[tuple[object, str]] = [
    (datetime(2026, 12, 24), "dd.mm.yyyy"),  # noqa: DTZ001  # Excel knows no zones
    (46380, "yyyy-mm-dd"),
    ("24.12.2026", "@"),
    ("24. 12. 2026", "@"),
    ("2026-12-24", "@"),
    ("\u201c2026-12-24\u201d", "@"),
]


@by_every_program
def test_days(table: Table, path: Path, by: str) -> None:
    """A day is a day, as Excel stores it or as people write it."""

    def edit(book: Any) -> None:
        for row, (value, shown_as) in enumerate(DAYS, start=2):
            book["Covers"][f"A{row}"], book["Covers"][f"D{row}"] = "lonn", "2027-01-03"
            found = cell(book, "Covers", row, "Starts")
            found.value, found.number_format = value, shown_as

    edited(table, path, edit, by=by)
    covers = read_sheet(path, DESTINATIONS).table.rows["delegation"]
    assert [each["starts"] for each in covers] == [date(2026, 12, 24)] * len(DAYS)


TRUTHS: list[tuple[object, bool]] = [
    ("ja", True),
    ("Nei", False),
    ("yes", True),
    ("no", False),
    (True, True),
    ("USANN", False),
    (1, True),
]


@by_every_program
def test_yes_and_no(table: Table, path: Path, by: str) -> None:
    """True and false are read in both languages, and as Excel stores them."""
    written = [("Has attachments", value) for value, _ in TRUTHS]
    assert routes_read(table, path, written, by) == [read for _, read in TRUTHS]


def test_names_with_invisible_blanks(table: Table, path: Path) -> None:
    """A blank that nobody sees does not make another name."""
    edited(table, path, setting("Routes", 2, "To", "\u00a0lonn\u200b"))
    assert first_route(path)["to"] == ["lonn"]


@by_every_program
def test_remarks_are_left_alone(table: Table, path: Path, by: str) -> None:
    """Columns and sheets whose name begins with # are nobody's business, whatever is in them."""

    def edit(book: Any) -> None:
        routes = book["Routes"]
        routes.insert_cols(2)
        routes["B1"], routes["B2"], routes["B9"] = "# Merknad", "=1/0", "ring Kari"
        routes["AZ1"], routes["AZ3"] = "#", 971040238.5
        routes.merge_cells("B3:B4")
        book["Covers"]["H1"] = "#To"
        book["Covers"]["H2"] = "ikke dette"
        book.copy_worksheet(routes).title = "#gamle ruter"

    edited(table, path, edit, by=by)
    assert read_sheet(path, DESTINATIONS).table.rows == table.rows


def test_headings_in_any_language_and_order(table: Table, path: Path) -> None:
    """Headings in English, in Norwegian and as in routing.toml may be mixed, in any case, order and
    sheet."""

    def edit(book: Any) -> None:
        routes = book["Routes"]
        routes.title = "Hvem får hva"
        routes["A1"], routes["D1"], routes["E1"] = "NAVN", "title_contains", " til: "
        routes.move_range("B1:C3", cols=40)
        book.move_sheet("Covers", -2)

    edited(table, path, edit)
    assert read_sheet(path, DESTINATIONS).table.rows == table.rows


@by_every_program
def test_a_cover_in_the_past(table: Table, path: Path, by: str) -> None:
    """It is warned of, with its cell; covers that come are not."""

    def edit(book: Any) -> None:
        book["Covers"].append(["lonn", "post", datetime(2025, 12, 21), "3.1.2026"])  # noqa: DTZ001

    edited(table, path, edit, by=by)
    (warning,) = read_sheet(path, DESTINATIONS, today=TODAY).table.warnings
    assert str(warning) == (
        f"{path}: Covers!D3 (Ends): the cover for 'lonn' ended on 2026-01-03. Remove it, or "
        "change its last day"
    )
