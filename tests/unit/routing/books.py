"""Workbooks in the hands of other programs than ours."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from openpyxl import load_workbook

from daemon.routing.spreadsheet.table_rows import write_sheet
from daemon.routing.table import Table

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_STRINGS = (
    '<Override PartName="/xl/sharedStrings.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)
Edit = Callable[[Any], object]


def edited(
    table: Table, path: Path, edit: Edit, *, language: str = "", by: str = "openpyxl"
) -> Path:
    """Export the table, let `edit` change the workbook, and save it as the program `by` does."""
    write_sheet(table, path, language)
    book: Any = load_workbook(path)
    edit(book)
    content = io.BytesIO()
    book.save(content)
    path.write_bytes(PROGRAMS[by](content.getvalue()))
    return path


def cell(book: Any, sheet: str, row: int, heading: str) -> Any:
    """The cell of a sheet in this row, below this heading."""
    (place,) = (each.column for each in book[sheet][1] if each.value == heading)
    return book[sheet].cell(row, place)


def setting(sheet: str, row: int, heading: str, value: Any) -> Edit:
    """An edit that puts this value below this heading."""

    def edit(book: Any) -> None:
        cell(book, sheet, row, heading).value = value

    return edit


def parts(content: bytes) -> dict[str, str]:
    """The XML of a workbook, by the names of its parts."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def rezipped(texts: Mapping[str, str]) -> bytes:
    """A workbook of these parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return target.getvalue()


def _with_shared_strings(content: bytes) -> bytes:
    """As Excel and LibreOffice save it: the texts stand in a table of their own, each once."""
    texts, table = parts(content), dict[str, int]()
    inline = re.compile(r't="inlineStr"([^>]*)><is>(.*?)</is>', re.DOTALL)

    def shared(found: re.Match[str]) -> str:
        return f't="s"{found[1]}><v>{table.setdefault(found[2], len(table))}</v>'

    for name in [name for name in texts if name.startswith("xl/worksheets/")]:
        texts[name] = inline.sub(shared, texts[name])
    items = "".join(f"<si>{text}</si>" for text in table)
    texts["xl/sharedStrings.xml"] = (
        f'<sst xmlns="{MAIN}" count="{len(table)}" uniqueCount="{len(table)}">{items}</sst>'
    )
    types = texts["[Content_Types].xml"]
    if "sharedStrings" not in types:
        texts["[Content_Types].xml"] = types.replace("</Types>", f"{_STRINGS}</Types>")
    relations = texts["xl/_rels/workbook.xml.rels"]
    if "sharedStrings" not in relations:
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
        texts["xl/_rels/workbook.xml.rels"] = relations.replace(
            "</Relationships>",
            f'<Relationship Id="rId99" Type="{kind}" Target="sharedStrings.xml"/></Relationships>',
        )
    return rezipped(texts)


def _with_floats(content: bytes) -> bytes:
    """As Java programs save it: shared strings, and each number as a float with an exponent."""
    texts = parts(_with_shared_strings(content))
    number = re.compile(r'(<c (?:(?!t="s")[^>])*>)<v>([0-9]{6,})</v>')
    for name in [name for name in texts if name.startswith("xl/worksheets/")]:
        texts[name] = number.sub(
            lambda found: f"{found[1]}<v>{found[2][0]}.{found[2][1:]}E{len(found[2]) - 1}</v>",
            texts[name],
        )
    return rezipped(texts)


PROGRAMS: Mapping[str, Callable[[bytes], bytes]] = {
    "openpyxl": lambda content: content,
    "Excel": _with_shared_strings,
    "Java": _with_floats,
}


def tree(content: bytes, part: str) -> ET.Element:
    """One part of a workbook, by a reader that knows nothing of workbooks."""
    return ET.fromstring(parts(content)[part])  # our own file


def texts_of(content: bytes, number: int) -> dict[str, str]:
    """What stands in the cells of the sheet of this number, by their addresses."""
    names = {"m": MAIN}
    found = {}
    for each in tree(content, f"xl/worksheets/sheet{number}.xml").iterfind(".//m:c", names):
        text = "".join(part.text or "" for part in each.iterfind(".//m:t", names))
        value = each.find("m:v", names)
        found[each.attrib["r"]] = text or (value.text or "" if value is not None else "")
    return found
