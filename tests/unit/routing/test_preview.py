"""What an import is said to change: every value before and after, who covers, and what moves."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from daemon.routing.spreadsheet.diff import ChangedValue, differences
from daemon.routing.spreadsheet.diff_text import difference_lines
from daemon.routing.spreadsheet.pairing import moved, pairs
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import Edit, cell, edited, setting

DESTINATIONS = ["arkiv", "erp"]
TEXT = """\
[[recipient]]
name = "lonn"
deliver_to = ["erp"]
deputy = "sjef"

[[recipient]]
name = "post"
deliver_to = ["erp"]

[[recipient]]
name = "sjef"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
title_contains = ["krav, pålegg"]
to = ["lonn"]

[route.not]
senders = ["Nav"]

[[route]]
name = "Bygg"
services = ["4255/1"]
to = ["sjef"]

[[route]]
name = "Hast"
due_within = "3d"
to = ["sjef"]

[[route]]
name = "Alt annet"
to = ["post"]

[[delegation]]
from = "lonn"
to = "post"
starts = 2026-12-21
ends = 2027-01-03

[[delegation]]
from = "lonn"
starts = 2027-07-01
ends = 2027-07-31
reason = "Ferie"
"""


@pytest.fixture
def table() -> Table:
    """The table before the edit."""
    return parse_table(TEXT, "routing.toml", DESTINATIONS)


def previewed(table: Table, path: Path, edit: Edit, language: str = "en") -> list[str]:
    """What is said of this edit of the exported workbook."""
    read = read_sheet(edited(table, path, edit, language=language), DESTINATIONS)
    return difference_lines(differences(table, read.table), read.language)


def swapped(sheet: str, one: int, other: int) -> Edit:
    """An edit that lets two rows change places."""

    def edit(book: Any) -> None:
        for first, second in zip(book[sheet][one], book[sheet][other], strict=True):
            first.value, second.value = second.value, first.value

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            setting("Routes", 2, "Title contains", "krav, pålegg"),
            ['~ route "Skatt": Title contains: "krav, pålegg" -> "krav", "pålegg"'],
        ),
        (
            setting("Routes", 2, "To", "lonn; post"),
            ['~ route "Skatt": To: "lonn" -> "lonn", "post"'],
        ),
        (setting("Routes", 2, "Copy to", "post"), ['~ route "Skatt": Copy to: nothing -> "post"']),
        (
            setting("Routes", 2, "Not: senders", None),
            ['~ route "Skatt": Not: senders: "Nav" -> nothing'],
        ),
        (setting("Routes", 4, "Due within", "5d"), ['~ route "Hast": Due within: "3d" -> "5d"']),
        (setting("Routes", 3, "Enabled", "nei"), ['~ route "Bygg": Enabled: yes -> no']),
        (setting("Routes", 3, "Name", "Plan"), ['~ route "Bygg": Name: "Bygg" -> "Plan"']),
        (
            swapped("Routes", 2, 4),
            ['~ route "Skatt" moves: position 1 -> 3', '~ route "Hast" moves: position 3 -> 1'],
        ),
        (swapped("Routes", 2, 3), ['~ route "Bygg" moves: position 2 -> 1']),
        (
            lambda book: book["Routes"].delete_rows(2),
            [
                (
                    '- route "Skatt", position 1: Title contains: "krav, pålegg"; To: "lonn"; Not: '
                    'senders: "Nav"'
                )
            ],
        ),
        (
            setting("Recipients", 3, "E-mail", "post@a.no"),
            ['~ recipient "post": E-mail: nothing -> "post@a.no"'],
        ),
        (
            setting("Recipients", 2, "Deputy", "post"),
            [
                '~ recipient "lonn": Deputy: "sjef" -> "post"',
                (
                    '~ cover for "lonn" by "sjef", 2027-07-01 to 2027-07-31: covered by: "sjef" '
                    '-> "post"'
                ),
            ],
        ),
        (
            setting("Covers", 2, "Ends", "2027-01-10"),
            [
                (
                    '~ cover for "lonn" by "post", 2026-12-21 to 2027-01-03: Ends: 2027-01-03 -> '
                    "2027-01-10"
                )
            ],
        ),
        (
            setting("Covers", 2, "To", "sjef"),
            ['~ cover for "lonn" by "post", 2026-12-21 to 2027-01-03: To: "post" -> "sjef"'],
        ),
        (
            setting("Covers", 2, "To", None),
            [
                (
                    '~ cover for "lonn" by "post", 2026-12-21 to 2027-01-03: To: "post" -> '
                    "nothing; "
                    'covered by: "post" -> "sjef"'
                )
            ],
        ),
        (
            lambda book: book["Covers"].delete_rows(3),
            ['- cover for "lonn" by "sjef", 2027-07-01 to 2027-07-31, position 2: Reason: "Ferie"'],
        ),
        (
            lambda book: book["Covers"].append(
                ["post", "sjef", "1.2.2027", "2.2.2027", None, "ja"]
            ),
            ['+ cover for "post" by "sjef", 2027-02-01 to 2027-02-02, position 3: Keep copy: yes'],
        ),
        (
            swapped("Covers", 2, 3),
            ['~ cover for "lonn" by "sjef", 2027-07-01 to 2027-07-31 moves: position 2 -> 1'],
        ),
        (setting("Settings", 2, "Follow thread", "ja"), ["~ Follow thread: no -> yes"]),
    ],
)
def test_each_edit_is_shown(table: Table, tmp_path: Path, edit: Edit, expected: list[str]) -> None:
    """Values stand in quotes, before and after; a cover names both recipients and its days; a move
    has its positions."""
    assert previewed(table, tmp_path / "ark.xlsx", edit) == expected


def test_a_new_route_is_shown_whole(table: Table, tmp_path: Path) -> None:
    """With its position, its conditions and its recipients, under the headings of the sheet."""

    def edit(book: Any) -> None:
        book["Ruter"].insert_rows(2)
        for name, value in (
            ("Navn", "Krav"),
            ("Tittel inneholder", "faktura, mva"),
            ("Til", "post"),
        ):
            cell(book, "Ruter", 2, name).value = value

    assert previewed(table, tmp_path / "ark.xlsx", edit, "nb") == [
        '+ route "Krav", position 1: Tittel inneholder: "faktura", "mva"; Til: "post"'
    ]


def test_rows_are_moved_as_few_as_can_be() -> None:
    """The rows said to move, taken out of both orders, leave the same order; and one fewer would
    not: a row put elsewhere is the only one that moves."""
    source = random.Random(18)
    for _ in range(200):
        places = list(range(source.randint(1, 9)))
        source.shuffle(places)
        mapping = dict(enumerate(places))
        gone = set(moved(mapping))
        left = [place for row, place in mapping.items() if row not in gone]
        assert all(one < other for one, other in pairwise(left))
        for row in gone:
            rest = [place for each, place in mapping.items() if each not in gone - {row}]
            assert not all(one < other for one, other in pairwise(rest))
    assert moved({0: 2, 1: 1, 2: 0}) == [0, 2]
    one_put_last = {0: 4, 1: 0, 2: 1, 3: 2, 4: 3}
    assert moved(one_put_last) == [0]


def test_rows_of_the_same_name_are_paired_once() -> None:
    """Of two rows alike each has one partner."""
    rows = [{"from": "a", "to": "b", "starts": 1, "ends": 2}] * 2
    assert pairs(rows, rows) == {0: 0, 1: 1}
    assert pairs(rows, rows[:1]) == {0: 0}


def test_a_preview_is_data_as_well(table: Table) -> None:
    """What an edit does is there as kinds and values, so that it can be said in any language."""
    text = TEXT.replace('"Bygg"', '"Plan"', 1)
    after = parse_table(f"follow_thread = true\n{text}", "b", None)
    setting, *rest = differences(table, after)
    assert (setting.kind, setting.section, setting.name) == ("changed", "", "follow_thread")
    assert [(each.kind, each.section, each.name, each.position) for each in rest] == [
        ("changed", "route", "Bygg", 2)
    ]
    assert rest[0].changes == (ChangedValue(key="name", before="Bygg", after="Plan"),)
    back = differences(after, replace(after, delegations=(), routes=after.routes[1:]))
    removed, *covers = back
    assert (removed.kind, removed.name, removed.position) == ("removed", "Skatt", 1)
    assert ChangedValue(key="not senders", before=["Nav"], after=None) in removed.changes
    cover = covers[-1]
    assert (cover.kind, cover.section, cover.name) == ("removed", "delegation", "lonn")
    assert (cover.covered_by, cover.ends) == ("sjef", date(2027, 7, 31))
