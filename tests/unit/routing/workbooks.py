"""Workbooks as openpyxl writes them, and as other programs would."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from daemon.core.errors import ConfigurationError
from daemon.routing.spreadsheet.files import read_grids
from daemon.routing.spreadsheet.reading import read_sheet

SHEET = "xl/worksheets/sheet1.xml"
_STRINGS = (
    '<Override PartName="/xl/sharedStrings.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


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
        texts = re.findall(r"<is>(.*?)</is>", archive.read(SHEET).decode(), re.DOTALL)
    numbers = iter(range(len(texts)))
    inline = re.compile(r't="inlineStr"([^>]*)><is>.*?</is>', re.DOTALL)
    table = (
        f'<sst {MAIN} count="{len(texts)}" '
        f'uniqueCount="{len(texts)}">{"".join(f"<si>{text}</si>" for text in texts)}</sst>'
    )
    return [
        (
            SHEET,
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
