"""What people and Excel do to the table in a workbook, and what is refused or warned of where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import ConfigurationError
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import Edit, cell, edited, setting
from tests.unit.routing.small_table import (
    DESTINATIONS,
    TEXT,
    by_every_program,
    new_path,  # noqa: F401  # a fixture
    new_table,  # noqa: F401  # a fixture
    with_routes,
)


def told(path: Path) -> list[str]:
    """What somebody is told who imports this workbook, line by line."""
    with pytest.raises(ConfigurationError) as caught:
        read_sheet(path, DESTINATIONS)
    return str(caught.value).replace(f"{path}: ", "").split("\n")


@pytest.mark.parametrize("mark", ['"', "\u201c", "\u00ab"])
def test_a_quotation_mark_that_is_not_closed(table: Table, path: Path, mark: str) -> None:
    """Nobody can know where such a value ends."""
    edited(table, path, setting("Routes", 2, "Title contains", f"{mark}krav om, pålegg"))
    assert told(path) == [
        (
            f"Routes!D2 (Title contains): a quotation mark is not closed: {mark}krav om. Close "
            "it, or remove it from the cell"
        )
    ]


_NEITHER = (
    "is neither a name nor a valid organisation number. Write the nine digits of the organisation "
    "number"
)
_MORE = (
    "is more than an organisation number, so no sender is called that. Write only the number: "
    "971040238"
)
_NINE = "is not a valid organisation number. It has nine digits, and the last is a check digit"
_AGAIN = "Format the cell as text, and enter the value again"


DIGITS: list[tuple[object, str]] = [
    ("9,71E+08", f"Excel has turned this into a number: 9,71E+08. {_AGAIN}"),
    ("9.71E+08, 958935420", f"Excel has turned this into a number: 9.71E+08. {_AGAIN}"),
    ("9E+08", f"Excel has turned this into a number: 9E+08. {_AGAIN}"),
    (
        '"9,71E+08"',
        (
            "Excel has turned an organisation number into 9,71E+08. Format the cell as text, and "
            "enter the nine digits again"
        ),
    ),
    ("97104023", f"'97104023' {_NINE}"),
    ("971040239", f"'971040239' {_NINE}"),
    ("971.040.238", f"'971.040.238' {_MORE}"),
    ("NO 971 040 238 MVA", f"'NO 971 040 238 MVA' {_MORE}"),
    ("Skatteetaten 971040238", f"'Skatteetaten 971040238' {_MORE}"),
    ("2026/12", f"'2026/12' {_NEITHER}"),
    ("+47 22 07 70 00", f"'+47 22 07 70 00' {_NEITHER}"),
    (97104023.5, f"Excel has turned this cell into a number: 97104023.5. {_AGAIN}"),
    (971040000, f"'971040000' {_NINE}"),
]


@by_every_program
@pytest.mark.parametrize(("heading", "letter"), [("Senders", "C"), ("Not: senders", "AC")])
def test_digits_are_never_a_name(
    table: Table, path: Path, by: str, heading: str, letter: str
) -> None:
    """A sender of digits that is not an organisation number is refused: as a name it would match
    nothing, and nobody would be told."""
    for by_the_table in (False, True):  # which is read after the cells, if they have no fault
        some = [each for each in DIGITS if each[1].endswith(_NINE) == by_the_table]
        path.unlink(missing_ok=True)
        with_routes(table, path, [(heading, value) for value, _ in some], by)
        assert told(path) == [
            f"Routes!{letter}{row} ({heading}): {expected}"
            for row, (_, expected) in enumerate(some, start=3)
        ]


def test_a_dead_sender_in_routing_toml() -> None:
    """In routing.toml it is a warning, for a table that was accepted once must not stop the
    service."""
    text = TEXT.replace('title_contains = ["mva"]', 'senders = ["Nav", "9,71E+08"]')
    (warning,) = parse_table(text, "routing.toml", DESTINATIONS).warnings
    assert str(warning).startswith("routing.toml:12: route[1].senders[2]: Excel has turned")


@pytest.mark.parametrize(
    ("sheet", "row", "heading", "value", "expected"),
    [
        (
            "Routes",
            2,
            "To",
            "lon",
            "Routes!E2 (To): 'lon' is not a known recipient. Did you mean 'lonn'?",
        ),
        (
            "Routes",
            2,
            "Services",
            "4255/18",
            "Routes!B2 (Services): '4255/18' is not a known service. Did you mean '4255/8'?",
        ),
        (
            "Routes",
            2,
            "Deliver to",
            "erpp",
            "Routes!G2 (Deliver to): 'erpp' is not a known destination. Did you mean 'erp'?",
        ),
        (
            "Routes",
            3,
            "To",
            None,
            (
                "Routes!A3 (Name): the route 'Alt annet' has no recipient. Add a value under "
                '"To" with the name of a recipient'
            ),
        ),
        (
            "Routes",
            2,
            "To",
            None,
            (
                "Routes!A2 (Name): the route 'Skatt' has no recipient. Add a value under \"To\" "
                "with the name of a recipient"
            ),
        ),
        ("Routes", 3, "Name", None, "Routes!A3 (Name): is required. Fill in the cell"),
        (
            "Routes",
            3,
            "Name",
            "Skatt",
            "Routes!A3 (Name): 'Skatt' is already used by another route. Give each a unique name",
        ),
        (
            "Routes",
            2,
            "Not: due within",
            "snart",
            (
                "Routes!AL2 (Not: due within): is not a valid duration. Write a whole number and "
                's, m, h or d, such as "5m"'
            ),
        ),
        (
            "Routes",
            2,
            "Title matches",
            "(",
            (
                "Routes!I2 (Title matches): is not a supported regular expression: missing ): (. "
                "Look-around and back references are not possible"
            ),
        ),
        (
            "Routes",
            2,
            "Title contains",
            ";",
            (
                "Routes!D2 (Title contains): is empty, so no letter can match. Write at least one "
                "value, or leave the cell empty"
            ),
        ),
        (
            "Routes",
            3,
            "Title contains",
            "x",
            (
                "Routes!A3 (Name): the last route, 'Alt annet', has conditions. Add a last route "
                "without conditions, so that every letter is routed"
            ),
        ),
        (
            "Routes",
            2,
            "Mark read",
            "aldri",
            (
                "Routes!Q2 (Mark read): 'aldri' is not a valid value here. Use one of: 'never', "
                "'stored', 'delivered' or 'acknowledged'"
            ),
        ),
        (
            "Recipients",
            3,
            "Deliver to",
            None,
            (
                "Recipients!A3 (Name): the recipient 'post' has no destination. Add a value under "
                '"Deliver to"; configured destinations: arkiv, erp'
            ),
        ),
        (
            "Recipients",
            2,
            "Deputy",
            "pst",
            "Recipients!E2 (Deputy): 'pst' is not a known recipient. Did you mean 'post'?",
        ),
        (
            "Covers",
            2,
            "Ends",
            "21. juli",
            "Covers!D2 (Ends): '21. juli' is not a date. Write it as 2026-12-21",
        ),
        (
            "Covers",
            2,
            "Ends",
            "2026-01-01",
            (
                "Covers!D2 (Ends): 2026-01-01 is before 2026-12-21, the first day. Correct the "
                "first or the last day"
            ),
        ),
        ("Covers", 2, "Starts", None, "Covers!C2 (Starts): is required. Fill in the cell"),
        (
            "Covers",
            2,
            "From",
            "post",
            (
                "Covers!A2 (From): does not say who covers for 'post'. Add a value under \"To\", "
                "or give the recipient a deputy"
            ),
        ),
        (
            "Settings",
            2,
            "Follow thread",
            "kanskje",
            "Settings!A2 (Follow thread): 'kanskje' must be yes or no. Write yes or no",
        ),
    ],
)
def test_faults_name_the_cell(
    table: Table, path: Path, sheet: str, row: int, heading: str, value: object, expected: str
) -> None:
    """A fault says the sheet, the cell and the heading, and what to do there; it has no word of
    TOML."""
    assert told(edited(table, path, setting(sheet, row, heading, value))) == [expected]


def test_faults_in_the_words_of_a_norwegian_sheet(table: Table, path: Path) -> None:
    """Headings are named as they stand in the sheet."""

    def edit(book: Any) -> None:
        cell(book, "Ruter", 3, "Til").value = None
        cell(book, "Mottakere", 3, "Mål").value = None

    assert told(edited(table, path, edit, language="nb")) == [
        (
            "Mottakere!A3 (Navn): the recipient 'post' has no destination. Add a value under "
            '"Mål"; configured destinations: arkiv, erp'
        ),
        (
            "Ruter!A3 (Navn): the route 'Alt annet' has no recipient. Add a value under \"Til\" "
            "with the name of a recipient"
        ),
    ]


def test_faults_of_the_whole_table(table: Table, path: Path) -> None:
    """A fault that is in no one cell has no word of TOML either."""
    edited(table, path, lambda book: book["Ruter"].delete_rows(2, 9), language="nb")
    assert told(path) == [
        (
            "at least one route is required. Add a last route without conditions: a row with a "
            "name and to"
        )
    ]
    edited_again = path.with_name("igjen.xlsx")

    def edit(book: Any) -> None:
        book["Ruter"].delete_cols(5)  # Til
        book["Ruter"].delete_rows(3, 9)

    edited(table, edited_again, edit, language="nb")
    assert told(edited_again)[0].startswith(
        "Ruter!A2 (Navn): the route 'Skatt' has no recipient. Add a value under \"Til\" with"
    )


def test_every_fault_at_once(table: Table, path: Path) -> None:
    """All cells that cannot be read are named, not just the first."""

    def edit(book: Any) -> None:
        cell(book, "Routes", 2, "Senders").value = "9,71E+08"
        cell(book, "Covers", 2, "Ends").value = "jul"
        cell(book, "Routes", 3, "Enabled").value = "kanskje"

    places = [line.partition(":")[0] for line in told(edited(table, path, edit))]
    assert places == ["Routes!C2 (Senders)", "Routes!Y3 (Enabled)", "Covers!D2 (Ends)"]


@by_every_program
def test_merged_cells_are_named(table: Table, path: Path, by: str) -> None:
    """Of merged cells only the first has a value: a route without its condition would take
    everything."""
    edited(table, path, lambda book: book["Routes"].merge_cells("D2:D3"), by=by)
    assert told(path) == [
        (
            "Routes!D2:D3 (Title contains): the cells are merged, so that only the first of them "
            "has a value. Unmerge and fill them"
        )
    ]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            lambda book: book["Routes"].__setitem__("AQ1", "Merknad"),
            (
                "Routes!AQ1: 'Merknad' is not a known heading. A heading that begins with # is "
                "for remarks"
            ),
        ),
        (
            lambda book: book["Routes"].__setitem__("E1", "Too"),
            (
                "Routes!E1: 'Too' is not a known heading. Did you mean 'To'? A heading that "
                "begins with # is for remarks"
            ),
        ),
        (
            lambda book: book["Routes"].__setitem__("AQ1", "deputy"),
            (
                "Routes!AQ1: 'deputy' is not a known heading. A heading that begins with # is for "
                "remarks"
            ),
        ),
        (
            lambda book: book["Routes"].__setitem__("AQ1", "Kopi til"),
            "Routes!AQ1: the column 'Kopi til' appears twice, first in F1. Remove one of them",
        ),
        (
            lambda book: book["Routes"].__setitem__("AQ3", "ring Kari"),
            (
                "Routes!AQ3: the column has no heading, but this cell has content. Empty the "
                "cell, or give the column a heading that begins with #"
            ),
        ),
        (
            lambda book: book.remove(book["Recipients"]),
            (
                "the sheet 'Recipients' or 'Mottakere' is missing. Start from the output of "
                "`postmottak routes export`"
            ),
        ),
        (
            lambda book: book.copy_worksheet(book["Covers"]),
            (
                "several sheets (some may be hidden) hold the same part of the table: 'Covers', "
                "'Covers Copy'. Keep only one of them, or begin the names of the others with #"
            ),
        ),
    ],
)
def test_headings_and_sheets(table: Table, path: Path, edit: Edit, expected: str) -> None:
    """A heading or a sheet that is wrong is told in one line, with its cell."""
    assert told(edited(table, path, edit)) == [expected]
