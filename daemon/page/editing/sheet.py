"""Puts the rows of a spreadsheet into the table's text, where what they do not say stays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daemon.core.errors import OperatorError
from daemon.page.editing.document import FILE, TableDocument, row_key
from daemon.page.editing.row_text import NOT
from daemon.routing.spreadsheet.remarks import rows_with_remarks
from daemon.routing.table import SECTIONS, Table, parse_table

_Rows = Mapping[str, Mapping[str, Any]]


def with_rows_of(text: str, table: Table) -> str:
    """Return the text with the rows of another table, comments kept.

    If the text cannot be edited row by row, or the other table has remarks of its own, return the
    other table's text.
    """
    try:
        merged = _merged(text, table)
        found = parse_table(merged, FILE, None)
    except OperatorError:
        return table.text
    same = found.follow_thread == table.follow_thread
    return merged if same and rows_with_remarks(found) == rows_with_remarks(table) else table.text


def _merged(text: str, table: Table) -> str:
    document, before = TableDocument.of(text), parse_table(text, FILE, None).rows
    for kind in SECTIONS:
        old = {row_key(kind, row): row for row in before[kind]}
        new = {row_key(kind, row): row for row in table.rows[kind]}
        document = _with_rows(document, kind, old, new)
    return document.text


def _with_rows(document: TableDocument, kind: str, old: _Rows, new: _Rows) -> TableDocument:
    for key in document.keys(kind):
        if key not in new:
            document = document.removed(kind, key)
    for place, (key, row) in enumerate(new.items()):
        if key not in old:
            document = document.added(kind, flat(row))
        elif changed := _changes(old[key], row):
            document = document.changed(kind, key, changed)
        if document.keys(kind).index(key) != place:
            document = document.moved(kind, key, place)
    return document


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    before, after = flat(old), flat(new)
    return {key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)}


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a row; those of its exceptions by keys that begin with `not.`."""
    under = {NOT + key: value for key, value in row.get("not", {}).items()}
    return {key: value for key, value in row.items() if key != "not"} | under
