"""A small table, and the workbook in which people and Excel change it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.routing.table import Table, parse_table
from tests.unit.routing.books import PROGRAMS, cell, edited

DESTINATIONS = ["arkiv", "erp"]
TEXT = """\
[[recipient]]
name = "lonn"
deliver_to = ["erp"]
deputy = "post"

[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
title_contains = ["mva"]
to = ["lonn"]

[[route]]
name = "Alt annet"
to = ["post"]

[[delegation]]
from = "lonn"
starts = 2026-12-21
ends = 2027-01-03
"""
by_every_program = pytest.mark.parametrize("by", list(PROGRAMS))


@pytest.fixture(name="table")
def new_table() -> Table:
    """A small table."""
    return parse_table(TEXT, "routing.toml", DESTINATIONS)


@pytest.fixture(name="path")
def new_path(tmp_path: Path) -> Path:
    """Where the workbook lies."""
    return tmp_path / "ark.xlsx"


def with_routes(table: Table, path: Path, values: Sequence[tuple[str, object]], by: str) -> Path:
    """A workbook with a route for each of these values, below this heading, after the first."""

    def edit(book: Any) -> None:
        book["Routes"].insert_rows(3, len(values))
        for row, (heading, value) in enumerate(values, start=3):
            for column, word in (("Name", f"r{row}"), ("To", "post"), ("Enabled", "no")):
                cell(book, "Routes", row, column).value = word
            cell(book, "Routes", row, heading).value = value

    return edited(table, path, edit, by=by)
