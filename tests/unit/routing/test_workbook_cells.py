"""What the cells of a workbook hold: numbers, dates, formulas and merged cells as Excel saves
them."""

from __future__ import annotations

import io
import re
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tests.unit.routing.workbooks import SHEET, book_of, cells, relabelled, told, with_cell


@pytest.mark.parametrize(
    ("value", "shown_as", "expected"),
    [
        (
            True,
            "General",
            (
                "Excel has turned this cell into true or false: TRUE. Format "
                "the cell as text, and enter the value again"
            ),
        ),
        (
            time(12, 30),
            "h:mm",
            (
                "Excel has turned this cell into a time: 12:30:00. Format "
                "the cell as text, and enter the value again"
            ),
        ),
        (
            timedelta(hours=30),
            "[h]:mm",
            (
                "Excel has turned this cell into a time: 1 day, 6:00:00. Format "
                "the cell as text, and enter the value again"
            ),
        ),
        (
            1.5,
            "General",
            (
                "Excel has turned this cell into a number: 1.5. Format the cell "
                "as text, and enter the value again"
            ),
        ),
        (
            1234567890123456,
            "General",
            (
                "Excel has turned this cell into a number: "
                "1234567890123456. Format the cell as text, and "
                "enter the value again"
            ),
        ),
        (
            974761076,
            "yyyy-mm-dd",
            (
                "the cell holds an Excel error: #VALUE!. Enter the value itself, "
                "in a cell formatted as text"
            ),
        ),
        (
            "#N/A",
            "General",
            (
                "the cell holds an Excel error: #N/A. Enter the value itself, "
                "in a cell formatted as text"
            ),
        ),
        (
            "=A1",
            "General",
            (
                "the cell holds a formula without its result. Enter the value itself, "
                "in a cell formatted as text"
            ),
        ),
        (
            datetime(2026, 12, 1),  # noqa: DTZ001  # Excel knows no zones
            "dd.mm",
            (
                "Excel has turned this cell into a date: 2026-12-01. Format the cell as text, and "
                "enter the value again"
            ),
        ),
    ],
)
def test_what_excel_made_of_a_cell(
    tmp_path: Path, value: Any, shown_as: str, expected: str
) -> None:
    """A cell whose text nobody can know any more is refused with its row and column, and is never
    another text or none."""
    assert (
        told(tmp_path / "ark.xlsx", with_cell(value, shown_as))
        == f"ark.xlsx: D3 (case_numbers): {expected}"
    )


def test_a_number_that_is_shown_with_zeros(tmp_path: Path) -> None:
    """A number that a format shows as 00123 is read as it is seen."""
    assert cells(tmp_path / "ark.xlsx", with_cell(123, "00000"))[2][3] == "00123"


def test_results_of_formulas(tmp_path: Path) -> None:
    """A formula counts by the result that Excel saved with it, also where that is an empty text."""
    content = book_of(["kind", "name", "email"], ["recipient", "=1", "=2"])
    saved = relabelled(
        content,
        SHEET,
        lambda xml: re.sub(
            r'<c r="C2"[^>]*>.*?</c>',
            '<c r="C2" t="str"><f>""</f><v></v></c>',
            re.sub(
                r'<c r="B2"[^>]*>.*?</c>',
                '<c r="B2" t="str"><f>"po"&amp;"st"</f><v>post</v></c>',
                xml,
            ),
        ),
    )
    assert cells(tmp_path / "ark.xlsx", saved)[1] == ["recipient", "post"]


def test_days_from_a_macintosh(tmp_path: Path) -> None:
    """In a workbook that counts days from 1904, a day is the day that is shown."""
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    book: Any = Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.active.append(["kind", "starts"])
    book.active.append(["delegation", date(2026, 12, 21)])
    content = io.BytesIO()
    book.save(content)
    assert cells(tmp_path / "ark.xlsx", content.getvalue())[1][1] == date(2026, 12, 21)


def test_merged_cells(tmp_path: Path) -> None:
    """Of merged cells only the first has what is seen in all: they are refused, for a route without
    its condition would take everything."""
    content = book_of(
        ["kind", "name", "title_contains"], ["route", "a", "mva"], ["route", "b", None]
    )
    merged = relabelled(
        content,
        SHEET,
        lambda xml: xml.replace(
            "</sheetData>",
            '</sheetData><mergeCells count="1"><mergeCell ref="C2:C3"/></mergeCells>',
        ),
    )
    assert "C2:C3 (title_contains): the cells are merged" in told(tmp_path / "ark.xlsx", merged)


def test_one_place_twice(tmp_path: Path) -> None:
    """Two cells that claim the same place are refused; none hides the other."""
    content = book_of(["kind", "name"], ["recipient", "a"], ["recipient", "b"])
    twice = relabelled(content, SHEET, lambda xml: xml.replace('"3"', '"2"').replace("B3", "B2"))
    assert "Sheet!B2 is in the file twice" in told(tmp_path / "ark.xlsx", twice)
