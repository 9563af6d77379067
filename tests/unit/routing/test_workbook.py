"""Workbooks by other hands than ours: what the cells hold counts, never what the workbook says
about itself."""

# each message stands in one line, as it is printed  # noqa: RUF100

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from daemon.core.errors import ConfigurationError
from daemon.routing.spreadsheet.files import read_grids
from daemon.routing.spreadsheet.reading import read_sheet
from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import parse_table

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
_SHEET = "xl/worksheets/sheet1.xml"
_STRINGS = (
    '<Override PartName="/xl/sharedStrings.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def relabelled(content: bytes, part: str, change: Callable[[str], str]) -> bytes:
    """The workbook with one of its parts changed, or added."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for name in dict.fromkeys([*source.namelist(), part]):
            data = source.read(name) if name in source.namelist() else b""
            changed.writestr(name, change(data.decode()) if name == part else data)
    return target.getvalue()


def shared_strings(content: bytes) -> list[tuple[str, Callable[[str], str]]]:
    """The changes that move a workbook's texts into its table of strings, where Excel has them;
    openpyxl writes them into the cells."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        texts = re.findall(r"<is>(.*?)</is>", archive.read(_SHEET).decode(), re.DOTALL)
    numbers = iter(range(len(texts)))
    inline = re.compile(r't="inlineStr"([^>]*)><is>.*?</is>', re.DOTALL)
    table = (
        f'<sst {_MAIN} count="{len(texts)}" '
        f'uniqueCount="{len(texts)}">{"".join(f"<si>{text}</si>" for text in texts)}</sst>'
    )
    return [
        (
            _SHEET,
            lambda xml: inline.sub(lambda found: f't="s"{found[1]}><v>{next(numbers)}</v>', xml),
        ),
        ("xl/sharedStrings.xml", lambda _: table),
        ("[Content_Types].xml", lambda xml: xml.replace("</Types>", f"{_STRINGS}</Types>")),
    ]


def book_of(*rows: list[Any]) -> bytes:
    """A workbook of these rows, as openpyxl writes it."""
    book: Any = Workbook()
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def with_cell(value: Any, number_format: str = "General") -> bytes:
    """A workbook whose route has this value as a case number."""
    book: Any = Workbook()
    for row in (
        ["kind", "name", "deliver_to", "case_numbers", "to"],
        ["recipient", "post", "erp"],
        ["route", "x", None, None, "post"],
    ):
        book.active.append(row)
    book.active["D3"].value, book.active["D3"].number_format = value, number_format
    book.active.append(["route", "Alt annet", None, None, "post"])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def told(path: Path, content: bytes) -> str:
    """What somebody is told who imports this."""
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_sheet(path, ["erp"])
    return str(caught.value).replace(f"{path}", path.name)


def cells(path: Path, content: bytes) -> list[list[Any]]:
    path.write_bytes(content)
    return read_grids(path)[0].rows


@pytest.fixture
def ours(tmp_path: Path) -> bytes:
    """A workbook as `routes export` writes it."""
    path = tmp_path / "ours.xlsx"
    write_sheet(parse_table(TEXT, "routing.toml", ["erp"]), path)
    return path.read_bytes()


_LABELS = st.lists(
    st.sampled_from([
        (_SHEET, lambda xml: re.sub(r"<dimension [^>]*/>", "", xml).replace("<sheetData>", '<dimension ref="A1"/><sheetData>')),
        (_SHEET, lambda xml: re.sub(r"<dimension [^>]*/>", "", xml).replace("<sheetData>", '<dimension ref="B2:C2"/><sheetData>')),
        (_SHEET, lambda xml: xml.replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>', 1)),
        (_SHEET, lambda xml: re.sub(r"<row ", '<row spans="1:1" ', xml)),
        (_SHEET, lambda xml: re.sub(r'<row r="([3-9])"', r'<row r="\1" hidden="1"', xml)),
        (_SHEET, lambda xml: re.sub(r"<autoFilter[^>]*/>", "", xml).replace("</sheetData>", '</sheetData><autoFilter ref="A1:B2"/>')),
        ("xl/sharedStrings.xml", lambda xml: re.sub(r'(count|uniqueCount)="\d+"', r'\1="1"', xml)),
        ("xl/workbook.xml", lambda xml: re.sub(r'state="\w+"', 'state="hidden"', xml)),
        ("xl/workbook.xml", lambda xml: re.sub("<sheet ", '<sheet state="veryHidden" ', re.sub(r' state="\w+"', "", xml))),
        ("xl/workbook.xml", lambda xml: re.sub(r'activeTab="\d+"', 'activeTab="7"', xml)),
        ("docProps/app.xml", lambda _: "<nonsense/>"),
    ]),
    max_size=4,
    unique_by=lambda each: each[0],
)  # fmt: skip  # one line for each label


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
        content = relabelled(content, _SHEET, _rows_backwards)
    path = path.with_suffix(".xlsx")
    path.write_bytes(content)
    assert read_sheet(path, ["erp"]).table.rows == table.rows


def _rows_backwards(xml: str) -> str:
    before, _, rest = xml.partition("<sheetData>")
    data, _, after = rest.partition("</sheetData>")
    rows = re.findall(r"<row .*?</row>", data, re.DOTALL)
    return f"{before}<sheetData>{''.join(reversed(rows))}</sheetData>{after}"


def test_the_sheet_with_the_table_is_read(tmp_path: Path, ours: bytes) -> None:
    """Notes that somebody put before the table are passed over; of two tables none is chosen by its
    place or visibility."""
    from openpyxl import load_workbook

    book: Any = load_workbook(io.BytesIO(ours))
    book.create_sheet("Notater", 0).append(["Husk", "å spørre Kari"])
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


@pytest.mark.parametrize(
    ("value", "shown_as", "expected"),
    [
        (True, "General", ("Excel has turned this cell into true or false: True. Format "
                           "the cell as text, and enter the value again")),
        (time(12, 30), "h:mm", ("Excel has turned this cell into a time: 12:30:00. Format "
                                "the cell as text, and enter the value again")),
        (timedelta(hours=30), "[h]:mm", ("Excel has turned this cell into a time: 1 day, 6:00:00. Format the cell as text, "
        "and enter the value again")),
        (1.5, "General", ("Excel has turned this cell into a number: 1.5. Format the cell "
                          "as text, and enter the value again")),
        (1234567890123456, "General", ("Excel has turned this cell into a number: "
                                       "1234567890123456. Format the cell as text, and "
                                       "enter the value again")),
        (974761076, "yyyy-mm-dd", ("the cell holds an Excel error: #VALUE!. Enter the value itself, in a cell "
        "formatted as text")),
        ("#N/A", "General", ("the cell holds an Excel error: #N/A. Enter the value itself, in a cell "
        "formatted as text")),
        ("=A1", "General", ("the cell holds a formula without its result. Enter the value itself, in a cell "
        "formatted as text")),
        # Excel knows no zones
        (datetime(2026, 12, 1), "dd.mm", (  # noqa: DTZ001
        "Excel has turned this cell into a date: 2026-12-01. Format the cell as text, and "
        "enter the value again")),
    ],
)  # fmt: skip  # one line for each value
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
        _SHEET,
        lambda xml: re.sub(
            r'<c r="C2"[^>]*>.*?</c>', '<c r="C2" t="str"><f>""</f><v></v></c>',
            re.sub(r'<c r="B2"[^>]*>.*?</c>', '<c r="B2" t="str"><f>"po"&amp;"st"</f><v>post</v></c>', xml),
        ),
    )  # fmt: skip
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
        _SHEET,
        lambda xml: xml.replace(
            "</sheetData>",
            '</sheetData><mergeCells count="1"><mergeCell ref="C2:C3"/></mergeCells>',
        ),
    )
    assert "C2:C3 (title_contains): the cells are merged" in told(tmp_path / "ark.xlsx", merged)


def test_one_place_twice(tmp_path: Path) -> None:
    """Two cells that claim the same place are refused; none hides the other."""
    content = book_of(["kind", "name"], ["recipient", "a"], ["recipient", "b"])
    twice = relabelled(content, _SHEET, lambda xml: xml.replace('"3"', '"2"').replace("B3", "B2"))
    assert "Sheet!B2 is in the file twice" in told(tmp_path / "ark.xlsx", twice)


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
    """A few bytes that stand for millions of rows or columns are refused, and not made into them."""
    rows = (
        "".join(row.replace("{}", str(number)) for number in range(1, 401)) if "{}" in row else row
    )
    content = relabelled(
        book_of(["kind"]),
        _SHEET,
        lambda _: f"<worksheet {_MAIN}><sheetData>{rows}</sheetData></worksheet>",
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
        (_SHEET, lambda xml: xml[:-100]),
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
