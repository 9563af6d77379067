"""People's own columns: they decide nothing, and nobody loses them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from daemon.routing.spreadsheet.diff import differences
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
        routes["AK1"], routes["AK2"], routes["AK3"] = "#Merknad:", text, None
        routes["AK2"].data_type = "s"

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
    assert texts_of(again.read_bytes(), 1)["AK1"] == "# Merknad"
    if not text.startswith(("=", '"')):
        assert texts_of(again.read_bytes(), 1)["AK2"] == text
    for path in (again, tmp_path / "again.csv"):
        if not path.exists():
            write_sheet(after, path)
        back = read_sheet(path, DESTINATIONS).table
        assert differences(after, back) == []


def test_a_remark_is_previewed(table: Table, tmp_path: Path) -> None:
    """A change of remarks alone is a change: before and after are shown."""
    one = remarked(table, tmp_path / "one.xlsx", "ring Kari")
    other = remarked(table, tmp_path / "other.xlsx", "ring Ola")
    assert differences(one, other) == ['~ route "Skatt": # Merknad: "ring Kari" -> "ring Ola"']


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
    assert [routes.get(each) for each in ("AK1", "AL1", "AK2", "AL2", "AK3")] == [
        "# Eier",
        "# Sak",
        "Kari",
        "12",
        None,
    ]
    assert "F1" not in texts_of(content, 2)


def test_no_formula_in_a_csv(table: Table, tmp_path: Path) -> None:
    """A remark that looks like a formula is quoted, for Excel would run it."""
    after = remarked(table, tmp_path / "ark.xlsx", "=HYPERLINK(1)")
    write_sheet(after, tmp_path / "ark.csv")
    assert ';"""=HYPERLINK(1)"""' in (tmp_path / "ark.csv").read_text(encoding="utf-8-sig")
