"""People's own columns: they decide nothing, and nobody loses them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from daemon.routing.spreadsheet.diff import differences
from daemon.routing.spreadsheet.diff_text import difference_lines
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import edited, texts_of

DESTINATIONS = ["erp"]
TEXT = """\
[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
title_contains = ["mva"]
to = ["post"]

[[route]]
name = "Alt annet"
to = ["post"]
"""
AWKWARD = (
    "ring Kari",
    "første linje\nandre: linje",
    "=1+1",
    '"sitat"',
    '"\\n"',
    "# ikke \u2028 dette",
    "2026/12, 1",
    "\\",
    "[[route]]",
)


@pytest.fixture
def table() -> Table:
    """A small table."""
    return parse_table(TEXT, "routing.toml", DESTINATIONS)


def remarked(table: Table, path: Path, text: str) -> Table:
    """The table after a remark on its first route was imported."""

    def edit(book: Any) -> None:
        routes = book["Routes"]
        routes["AQ1"], routes["AQ2"], routes["AQ3"] = "#Merknad:", text, None
        routes["AQ2"].data_type = "s"

    return read_sheet(edited(table, path, edit), DESTINATIONS).table


@pytest.mark.parametrize("text", AWKWARD)
def test_a_remark_comes_back(table: Table, tmp_path: Path, text: str) -> None:
    """It goes through routing.toml to the next workbook and the next CSV file as it was, and the
    table is the same."""
    after = remarked(table, tmp_path / "ark.xlsx", text)
    assert after.rows == table.rows
    assert tomllib.loads(after.text) == {"follow_thread": False} | tomllib.loads(table.text)
    assert len(differences(table, after)) == 1
    again = tmp_path / "again.xlsx"
    write_sheet(after, again)
    assert texts_of(again.read_bytes(), 1)["AQ1"] == "# Merknad"
    if not text.startswith(("=", '"')):
        assert texts_of(again.read_bytes(), 1)["AQ2"] == text
    for path in (again, tmp_path / "again.csv"):
        if not path.exists():
            write_sheet(after, path)
        back = read_sheet(path, DESTINATIONS).table
        assert differences(after, back) == []


def test_a_remark_is_previewed(table: Table, tmp_path: Path) -> None:
    """A change of remarks alone is a change: before and after are shown."""
    one = remarked(table, tmp_path / "one.xlsx", "ring Kari")
    other = remarked(table, tmp_path / "other.xlsx", "ring Ola")
    assert difference_lines(differences(one, other)) == [
        '~ route "Skatt": # Merknad: "ring Kari" -> "ring Ola"'
    ]


def test_remarks_written_by_hand(tmp_path: Path) -> None:
    """A comment of that form directly above a row is a remark; any other comment is not."""
    text = (
        TEXT.replace(
            '[[route]]\nname = "Skatt"', '## Eier: Kari\n## Sak: 12\n[[route]]\nname = "Skatt"'
        )
        .replace("[[recipient]]", "# Eier: ingen\n## uten kolon\n\n[[recipient]]")
        .replace('[[route]]\nname = "Alt annet"', '## Eier: borte\n\n[[route]]\nname = "Alt annet"')
    )  # fmt: skip
    write_sheet(parse_table(text, "routing.toml", DESTINATIONS), tmp_path / "ark.xlsx")
    content = (tmp_path / "ark.xlsx").read_bytes()
    routes = texts_of(content, 1)
    assert [routes.get(each) for each in ("AQ1", "AR1", "AQ2", "AR2", "AQ3")] == [
        "# Eier",
        "# Sak",
        "Kari",
        "12",
        None,
    ]
    assert not [text for text in texts_of(content, 2).values() if text.startswith("#")]


def test_several_remarks_of_one_heading(tmp_path: Path) -> None:
    """Lines with the same heading above a row are one remark of several lines, in their order."""
    text = TEXT.replace(
        '[[route]]\nname = "Skatt"',
        '## Merknad: ring Kari\n## Sak: 12\n## Merknad: etter jul\n[[route]]\nname = "Skatt"',
    )
    before = parse_table(text, "routing.toml", DESTINATIONS)
    write_sheet(before, tmp_path / "ark.xlsx")
    assert texts_of((tmp_path / "ark.xlsx").read_bytes(), 1)["AQ2"] == "ring Kari\netter jul"
    after = read_sheet(tmp_path / "ark.xlsx", DESTINATIONS).table
    assert differences(before, after) == []
    assert '## Merknad: "ring Kari\\netter jul"\n## Sak: 12\n[[route]]' in after.text


def test_remarks_without_a_place(table: Table, tmp_path: Path) -> None:
    """A remark in a row of its own or about the settings cannot be kept, so each is warned of with
    its cell."""

    def edit(book: Any) -> None:
        routes, settings = book["Routes"], book["Settings"]
        routes["AQ1"], routes["AQ2"], routes["AQ3"] = "#Merknad", "ring Kari", None
        routes["AQ9"] = "nedenfor: gamle"
        settings["B1"], settings["B2"], settings["B3"] = "# Hvorfor", "spør Ola", "eller Kari"

    read = read_sheet(edited(table, tmp_path / "ark.xlsx", edit), DESTINATIONS).table
    assert [each.key for each in read.warnings] == [
        "Routes!AQ9 (#Merknad)",
        "Settings!B2 (# Hvorfor)",
        "Settings!B3 (# Hvorfor)",
    ]
    assert "does not keep a remark about the settings" in str(read.warnings[1])
    assert "ring Kari" in read.text


def test_a_remark_about_the_settings_in_a_csv(table: Table, tmp_path: Path) -> None:
    """The same goes for a row of settings among the other rows."""
    path = tmp_path / "ark.csv"
    write_sheet(table, path)
    first, *rows = path.read_text(encoding="utf-8-sig").splitlines()
    settings = f"table{';' * first.count(';')};spør Ola"
    path.write_text("\n".join([f"{first};# Hvorfor", settings, *rows]), encoding="utf-8")
    (warning,) = read_sheet(path, DESTINATIONS).table.warnings
    assert warning.key.endswith("2 (# Hvorfor)")


def test_no_formula_in_a_csv(table: Table, tmp_path: Path) -> None:
    """A remark that looks like a formula is quoted, for Excel would run it."""
    after = remarked(table, tmp_path / "ark.xlsx", "=HYPERLINK(1)")
    write_sheet(after, tmp_path / "ark.csv")
    assert ';"""=HYPERLINK(1)"""' in (tmp_path / "ark.csv").read_text(encoding="utf-8-sig")
