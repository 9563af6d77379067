"""The exported workbook as people meet it, read by a reader that knows nothing of workbooks."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from daemon.core.dpv import ALL_SERVICES
from daemon.routing.spreadsheet.headings import LANGUAGES, columns_of, heading
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import MAIN, parts, texts_of, tree

DESTINATIONS = ["arkiv", "erp"]
TEXT = """\
[[recipient]]
name = "lonn"
title = "Lønningskontoret i andre etasje, inngang fra gården"
deliver_to = ["erp"]

[[route]]
name = "Alt annet"
copy_to = ["lonn"]
to = ["lonn"]

[[delegation]]
from = "lonn"
to = "lonn2"
starts = 2026-12-21
ends = 2027-01-03
keep_copy = true

[[recipient]]
name = "lonn2"
deliver_to = ["arkiv", "erp"]
"""
_NAMES = {"m": MAIN}
SHEETS = {
    "en": ["Routes", "Recipients", "Covers", "Settings", "Groups", "Legend"],
    "nb": ["Ruter", "Mottakere", "Fravær", "Innstillinger", "Grupper", "Forklaring"],
}
KINDS = ["route", "recipient", "delegation", "table", "party_group"]


@pytest.fixture
def table() -> Table:
    """A small table."""
    return parse_table(TEXT, "routing.toml", DESTINATIONS)


def exported(table: Table, path: Path, language: str) -> bytes:
    """The workbook as it is on the disk."""
    write_sheet(table, path, language)
    return path.read_bytes()


def sheet(content: bytes, number: int) -> ET.Element:
    return tree(content, f"xl/worksheets/sheet{number}.xml")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sheet_for_each_kind(table: Table, tmp_path: Path, language: str) -> None:
    """Routes, recipients and covers have a sheet each, with headings in the language; the first
    columns are those that people look for."""
    content = exported(table, tmp_path / "ark.xlsx", language)
    book = tree(content, "xl/workbook.xml")
    assert [each.attrib["name"] for each in book.iterfind(".//m:sheet", _NAMES)] == SHEETS[language]
    routes, recipients, covers = (texts_of(content, number) for number in (1, 2, 3))
    headings = {
        "en": ("Name", "Services", "Senders", "Title contains", "To", "Copy to", "Deliver to"),
        "nb": ("Navn", "Tjenester", "Avsendere", "Tittel inneholder", "Til", "Kopi til", "Mål"),
    }[language]
    assert tuple(routes[f"{letter}1"] for letter in "ABCDEFG") == headings
    assert (routes["A2"], routes["E2"], routes["F2"]) == ("Alt annet", "lonn", "lonn")
    assert recipients["C3"] == "arkiv\nerp"
    assert (covers["A2"], covers["B2"], covers["C2"]) == ("lonn", "lonn2", "46377")
    assert covers["F2"] == {"en": "yes", "nb": "ja"}[language]
    assert texts_of(content, 4)["A2"] == {"en": "no", "nb": "nei"}[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_laid_out(table: Table, tmp_path: Path, language: str) -> None:
    """Headings are bold and stay in sight, columns are as wide as their texts, long texts wrap, and
    days are days."""
    content = exported(table, tmp_path / "ark.xlsx", language)
    styles = tree(content, "xl/styles.xml")
    fonts = styles.findall("m:fonts/m:font", _NAMES)
    formats = styles.findall("m:cellXfs/m:xf", _NAMES)
    codes = {
        each.attrib["numFmtId"]: each.attrib["formatCode"]
        for each in styles.iterfind(".//m:numFmt", _NAMES)
    }
    for number in (1, 2, 3, 4, 5):
        root = sheet(content, number)
        pane = root.find(".//m:pane", _NAMES)
        assert pane is not None
        assert (pane.attrib["state"], pane.attrib["ySplit"]) == ("frozen", "1")
        for each in root.iterfind(".//m:row[@r='1']/m:c", _NAMES):
            style = formats[int(each.attrib["s"])]
            if each.findtext(".//m:t", default="", namespaces=_NAMES):
                assert fonts[int(style.attrib["fontId"])].find("m:b", _NAMES) is not None
    widths = [
        float(each.attrib["width"]) for each in sheet(content, 2).iterfind(".//m:col", _NAMES)
    ]
    assert widths[0] == 10
    assert widths[1] == 50  # the title, which is longer
    wrapped = sheet(content, 2).find(".//m:c[@r='B2']", _NAMES)
    assert wrapped is not None
    alignment = formats[int(wrapped.attrib["s"])].find("m:alignment", _NAMES)
    assert alignment is not None
    assert alignment.attrib["wrapText"] == "1"
    day = sheet(content, 3).find(".//m:c[@r='C2']", _NAMES)
    assert day is not None
    assert codes[formats[int(day.attrib["s"])].attrib["numFmtId"]] == (
        "dd.mm.yyyy" if language == "nb" else "yyyy-mm-dd"
    )


def choices(content: bytes, number: int) -> dict[str, tuple[str, str]]:
    """The lists to choose from, by the letters of their columns; and whether they forbid."""
    found = {}
    for each in sheet(content, number).iterfind(".//m:dataValidation", _NAMES):
        assert each.attrib["type"] == "list"
        letters = re.match("[A-Z]+", each.attrib["sqref"])
        assert letters
        forbids = each.attrib.get("showErrorMessage", "0")
        found[letters[0]] = (each.findtext("m:formula1", default="", namespaces=_NAMES), forbids)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_lists_to_choose_from(table: Table, tmp_path: Path, language: str) -> None:
    """Services, recipients and destinations are offered, new recipients too, and forbid nothing: a
    cell may hold several."""
    content = exported(table, tmp_path / "ark.xlsx", language)
    legend, recipients = SHEETS[language][5], SHEETS[language][1]
    offered = choices(content, 1)
    names = re.fullmatch(rf"{recipients}!\$A\$2:\$A\$(\d+)", offered["E"][0])
    assert names
    assert int(names[1]) > 500
    assert offered["F"] == offered["E"]
    assert {forbids for _, forbids in offered.values()} == {"0"}
    beside = texts_of(content, 6)
    for letter, listed in (("B", [each.slug for each in ALL_SERVICES]), ("G", DESTINATIONS)):
        area = re.fullmatch(rf"{legend}!\$([A-Z])\$2:\$[A-Z]\$(\d+)", offered[letter][0])
        assert area
        assert [beside[f"{area[1]}{row}"] for row in range(2, int(area[2]) + 1)] == listed
    covers = choices(content, 3)
    assert covers["A"] == covers["B"] == offered["E"]
    assert covers["F"][0] == {"en": '"yes,no"', "nb": '"ja,nei"'}[language]
    assert choices(content, 2)["C"] == offered["G"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_column_is_explained(table: Table, tmp_path: Path, language: str) -> None:
    """The legend has each heading of each sheet, its key in routing.toml, and a sentence."""
    content = exported(table, tmp_path / "ark.xlsx", language)
    legend = texts_of(content, 6)
    rows = [[legend.get(f"{letter}{row}", "") for letter in "ABCD"] for row in range(2, 90)]
    explained = {(place, name): key for place, name, key, meaning in rows if name and meaning}
    expected = {
        (title, heading(column, language)): column
        for kind, title in zip(KINDS, SHEETS[language], strict=False)
        for column in columns_of(kind)
    }
    assert explained == expected
    assert any("#" in meaning for *_, meaning in rows)


def test_no_word_is_left_in_the_other_language() -> None:
    """Each column has a heading of its own in each language."""
    for kind in KINDS:
        for language in LANGUAGES:
            headings = [heading(column, language) for column in columns_of(kind)]
            assert len(set(headings)) == len(headings)
            assert not [each for each in headings if "_" in each]


def test_a_csv_in_norwegian(table: Table, tmp_path: Path) -> None:
    """A CSV file has one sheet; its headings and kinds are in the language."""
    lines = exported(table, tmp_path / "ark.csv", "nb").decode("utf-8-sig").split("\r\n")
    assert lines[0].startswith("Type;Tjenester;Til organisasjon;Avsendere;")
    assert [line.partition(";")[0] for line in lines[1:5]] == [
        "Mottaker",
        "Mottaker",
        "Rute",
        "Fravær",
    ]


def test_nothing_runs(table: Table, tmp_path: Path) -> None:
    """No cell holds a formula, and nothing in the workbook points outside it."""
    content = exported(table, tmp_path / "ark.xlsx", "nb")
    for name, text in parts(content).items():
        assert "<f>" not in text, name
        assert 'TargetMode="External"' not in text, name
