"""People's remarks: columns of a sheet whose heading begins with `#`, and comments in routing.toml.

In a row, a remark is a value whose key begins with `#`. In routing.toml it is a line directly above
the row: `## Remark: call Kari`. Nothing is decided by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from daemon.config.faults import KeyLines
from daemon.core.folding import readable
from daemon.routing.spreadsheet.cells import Cell, Doubtful
from daemon.routing.spreadsheet.headings import REMARK
from daemon.routing.spreadsheet.quoting import guarded, without_guard
from daemon.routing.table import SECTIONS, Table

_COMMENT = re.compile(r"## ([^:]*): (.*)")


def remark_key(heading: str) -> str:
    """Return the key of a remark by its heading: `#Remark:` is `# Remark`."""
    return f"{REMARK} {readable(heading.lstrip(REMARK).replace(':', ' '))}".rstrip()


def is_remark(key: str) -> bool:
    """Return whether a key of a row is that of a remark."""
    return key.startswith(REMARK)


def add_remark(row: dict[str, Any], heading: str, cell: Cell) -> None:
    """Add what stands in a cell to the remarks of a row; a formula without a result is nothing."""
    if isinstance(cell, Doubtful) and not cell.text:
        return
    _add_text(row, remark_key(heading), without_guard(str(cell).strip()))


def _add_text(row: dict[str, Any], key: str, text: str) -> None:
    """Add a remark to a row; several of the same heading have a line each."""
    row[key] = f"{row[key]}\n{text}" if key in row else text


def remark_cell(text: str) -> str:
    """Return a remark as a cell, which Excel does not take for a formula."""
    return guarded(text)


def as_comments(row: Mapping[str, Any]) -> str:
    """Return the remarks of a row as lines of a TOML file."""
    return "".join(
        f"## {key.removeprefix(REMARK).strip()}: {_on_one_line(str(text))}\n"
        for key, text in row.items()
        if is_remark(key)
    )


def _on_one_line(text: str) -> str:
    plain = text.isprintable() and text == text.strip() and not text.startswith('"')
    return text if plain else json.dumps(text)


def rows_with_remarks(table: Table) -> dict[str, Any]:
    """Return the table's rows, each with the remarks above it."""
    lines = table.text.split("\n")
    places = KeyLines(table.text)
    rows = table.rows
    for kind in SECTIONS:
        for number, row in enumerate(rows[kind]):
            line = places.find((kind, number))
            if line is not None and lines[line - 1].lstrip().startswith("[["):
                row.update(_remarks_above(lines, line - 1))
    return rows


def _remarks_above(lines: list[str], place: int) -> dict[str, str]:
    """Return the remarks in the lines above this one, as far as they are remarks."""
    comments = []
    while place and (comment := _COMMENT.fullmatch(lines[place - 1].strip())):
        comments.append(comment)
        place -= 1
    found: dict[str, str] = {}
    for comment in reversed(comments):
        _add_text(found, remark_key(comment[1]), _read(comment[2]))
    return found


def _read(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:  # written by a person
        return text


def remark_keys(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the keys of all remarks in the rows, each once."""
    yield from dict.fromkeys(key for row in rows for key in row if is_remark(key))
