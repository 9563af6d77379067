"""Workbooks by other hands than ours: what the cells hold counts, never what the workbook says
about itself."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.routing.spreadsheet.files import read_grids
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import parse_table
from tests.unit.routing.workbooks import (
    MAIN,
    SHEET,
    book_of,
    cells,
    relabelled,
    shared_strings,
    told,
    with_cell,
)

TEXT = """\
[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Skatt"
senders = ["974761076"]
title_contains = ["merverdiavgift"]
to = ["post"]

[[route]]
name = "Alt annet"
to = ["post"]
"""


@pytest.fixture
def ours(tmp_path: Path) -> bytes:
    """A workbook as `routes export` writes it."""
    path = tmp_path / "ours.xlsx"
    write_sheet(parse_table(TEXT, "routing.toml", ["erp"]), path)
    return path.read_bytes()


def _with_dimension(cells: str) -> Callable[[str], str]:
    """The change that makes a sheet say that it has these cells."""
    said = f'<dimension ref="{cells}"/><sheetData>'
    return lambda xml: re.sub(r"<dimension [^>]*/>", "", xml).replace("<sheetData>", said)


def _with_other_filter(xml: str) -> str:
    """The sheet with its filter somewhere else."""
    without = re.sub(r"<autoFilter[^>]*/>", "", xml)
    return without.replace("</sheetData>", '</sheetData><autoFilter ref="A1:B2"/>')


def _hidden(xml: str) -> str:
    """The workbook with every sheet hidden, so that only a program can show it."""
    return re.sub("<sheet ", '<sheet state="veryHidden" ', re.sub(r' state="\w+"', "", xml))


_LABELS = st.lists(
    st.sampled_from(
        [
            (SHEET, _with_dimension("A1")),
            (SHEET, _with_dimension("B2:C2")),
            (
                SHEET,
                lambda xml: xml.replace(
                    "<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>', 1
                ),
            ),
            (SHEET, lambda xml: re.sub(r"<row ", '<row spans="1:1" ', xml)),
            (SHEET, lambda xml: re.sub(r'<row r="([3-9])"', r'<row r="\1" hidden="1"', xml)),
            (SHEET, _with_other_filter),
            (
                "xl/sharedStrings.xml",
                lambda xml: re.sub(r'(count|uniqueCount)="\d+"', r'\1="1"', xml),
            ),
            ("xl/workbook.xml", lambda xml: re.sub(r'state="\w+"', 'state="hidden"', xml)),
            ("xl/workbook.xml", _hidden),
            ("xl/workbook.xml", lambda xml: re.sub(r'activeTab="\d+"', 'activeTab="7"', xml)),
            ("docProps/app.xml", lambda _: "<nonsense/>"),
        ]
    ),
    max_size=4,
    unique_by=lambda each: each[0],
)


@settings(deadline=None)
@given(labels=_LABELS, shuffled=st.booleans())
def test_labels_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, labels: Any, shuffled: bool
) -> None:
    """Whatever a workbook says of its size, its sheets' visibility and its counts, and in whatever
    order its rows stand: all rows come."""
    path = tmp_path_factory.mktemp("book") / "ark.csv"
    table = parse_table(TEXT, "routing.toml", ["erp"])
    write_sheet(table, path)
    content = book_of(*read_grids(path)[0].rows)
    for part, change in [*shared_strings(content), *labels]:
        content = relabelled(content, part, change)
    if shuffled:
        content = relabelled(content, SHEET, _rows_backwards)
    path = path.with_suffix(".xlsx")
    path.write_bytes(content)
    assert read_sheet(path, ["erp"]).table.rows == table.rows


def _rows_backwards(xml: str) -> str:
    before, _, rest = xml.partition("<sheetData>")
    data, _, after = rest.partition("</sheetData>")
    rows = re.findall(r"<row .*?</row>", data, re.DOTALL)
    return f"{before}<sheetData>{''.join(reversed(rows))}</sheetData>{after}"


def test_the_sheet_with_the_table_is_read(tmp_path: Path, ours: bytes) -> None:
    """Notes that stand before the table are passed over; of two tables none is chosen by its place
    or visibility."""
    from openpyxl import load_workbook

    book: Any = load_workbook(io.BytesIO(ours))
    book.create_sheet("#Notater", 0).append(["Husk", "å spørre Kari"])
    book.save(tmp_path / "ark.xlsx")
    assert len(read_sheet(tmp_path / "ark.xlsx", ["erp"]).table.rows["route"]) == 2
    hidden = book.copy_worksheet(book["Routes"])
    hidden.title, hidden.sheet_state = "gammel", "hidden"
    content = io.BytesIO()
    book.save(content)
    expected = (
        "ark.xlsx: several sheets (some may be hidden) hold the same part of the table: 'Routes', "
        "'gammel'. Keep only one of them, or begin the names of the others with #"
    )
    assert told(tmp_path / "ark.xlsx", content.getvalue()) == expected
    hidden.title = "#gammel"
    book.save(tmp_path / "ark.xlsx")
    assert len(read_sheet(tmp_path / "ark.xlsx", ["erp"]).table.rows["route"]) == 2


def test_the_bytes_say_what_a_file_is(tmp_path: Path, ours: bytes) -> None:
    """A wrong ending loses nothing; a kind that cannot be read is refused by what it is."""
    table = parse_table(TEXT, "routing.toml", ["erp"])
    (tmp_path / "ark.csv").write_bytes(ours)
    assert read_sheet(tmp_path / "ark.csv", ["erp"]).table.rows == table.rows
    write_sheet(table, tmp_path / "text.csv")
    (tmp_path / "ark.xlsx").write_bytes((tmp_path / "text.csv").read_bytes())
    assert read_sheet(tmp_path / "ark.xlsx", ["erp"]).table.rows == table.rows
    old = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512)
    assert "a workbook with a password, or from Excel 2003 or older" in told(
        tmp_path / "gammel.xlsx", old
    )
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    assert "this is an OpenDocument sheet" in told(tmp_path / "libre.xlsx", other.getvalue())


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"]
)
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("label", [False, True])
def test_texts_of_every_kind(tmp_path: Path, encoding: str, delimiter: str, label: bool) -> None:
    """CSV with any delimiter that Excel writes, with `sep=` or without, in UTF-8 or in UTF-16 with
    its mark, holds the same rows."""
    rows = [
        ["kind", "name", "title_contains"],
        ["route", "Lønn", "mva; skatt, og annet"],
        ["route", "x"],
    ]
    lines = [
        delimiter.join(f'"{cell}"' if set(cell) & set(";,") else cell for cell in row)
        for row in rows
    ]
    text = "\r\n".join(([f"sep={delimiter}"] if label else []) + lines)
    data = {
        "utf-16-le-bom": "\ufeff".encode("utf-16-le"),
        "utf-16-be-bom": "\ufeff".encode("utf-16-be"),
    }.get(encoding, b"")
    data += text.encode(encoding.removesuffix("-bom"))
    assert cells(tmp_path / "ark.csv", data) == rows


def test_a_quotation_mark_that_is_not_closed(tmp_path: Path) -> None:
    """It would make one cell of all the rows behind it, so the sheet is refused."""
    text = b'kind;name;title_contains\r\nroute;a;"mva\r\nroute;b;skatt\r\n'
    assert "a quotation mark is not closed" in told(tmp_path / "ark.csv", text)


def test_utf_16_without_a_mark(tmp_path: Path) -> None:
    """UTF-16 that does not say so is refused with the remedy."""
    assert told(tmp_path / "ark.csv", "kind;name".encode("utf-16-le")).endswith(
        "Save it as CSV UTF-8"
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            '<row r="9999999999"><c r="A9999999999" t="str"><v>kind</v></c></row>',
            "more rows or cells than Excel allows",
        ),
        (
            '<row r="9999999"><c t="str"><v>kind</v></c></row>',
            "more rows or cells than Excel allows",
        ),
        ('<row r="{}"><c r="XFD{}" t="str"><v>kind</v></c></row>', "too wide"),
    ],
)
def test_sizes_are_bounded(tmp_path: Path, row: str, expected: str) -> None:
    """A few bytes that stand for millions of rows or columns are refused, and not made into
    them."""
    rows = (
        "".join(row.replace("{}", str(number)) for number in range(1, 401)) if "{}" in row else row
    )
    content = relabelled(
        book_of(["kind"]),
        SHEET,
        lambda _: f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>",
    )
    tracemalloc.start()
    try:
        assert expected in told(tmp_path / "ark.xlsx", content)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_a_workbook_that_unpacks_to_more(tmp_path: Path) -> None:
    """A small file that unpacks to very much is refused before it is unpacked."""
    target = io.BytesIO(book_of(["kind"]))
    with (
        zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet2.xml", "w") as bomb,
    ):
        for _ in range(80):
            bomb.write(bytes(1 << 20))
    assert "larger than 64 MB" in told(tmp_path / "ark.xlsx", target.getvalue())


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (
            "[Content_Types].xml",
            lambda _: (
                '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
            ),
        ),
        ("[Content_Types].xml", lambda xml: xml[:40]),
        ("xl/workbook.xml", lambda xml: xml[:60]),
        ("xl/sharedStrings.xml", lambda _: "<sst/>"),
        (SHEET, lambda xml: xml[:-100]),
    ],
)
def test_damage_is_told(tmp_path: Path, part: str, change: Callable[[str], str]) -> None:
    """A part that is cut off, missing or nonsense ends in one sentence, whatever the library
    raises."""
    content = with_cell("x")
    for each in [*shared_strings(content), (part, change)]:
        content = relabelled(content, *each)
    assert told(tmp_path / "ark.xlsx", content).startswith(
        "ark.xlsx: this is not a readable Excel file"
    )
