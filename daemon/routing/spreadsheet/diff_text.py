"""The differences of two tables in words: a line for each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from daemon.routing.conditions import in_words
from daemon.routing.spreadsheet.diff import COVERED_BY, ChangedValue, Difference
from daemon.routing.spreadsheet.headings import heading
from daemon.routing.spreadsheet.remarks import is_remark
from daemon.routing.spreadsheet.wording import day_text, yes_or_no


def difference_lines(found: Iterable[Difference], language: str = "") -> list[str]:
    """Return one line for each difference.

    Columns and values are called as in a sheet in that language, or as in routing.toml.
    """
    return [_line(each, language) for each in found]


def _line(found: Difference, language: str) -> str:
    changes = "; ".join(_change(each, found.kind, language) for each in found.changes)
    if not found.section:
        return f"~ {changes}"
    name = _named(found, language)
    if found.kind == "moved":
        return f"~ {name} moves: position {found.position} -> {found.new_position}"
    if found.kind == "changed":
        return f"~ {name}: {changes}"
    sign = "+" if found.kind == "added" else "-"
    return f"{sign} {name}, position {found.position}" + (changes and f": {changes}")


def _named(found: Difference, language: str) -> str:
    if found.section != "delegation":
        return f"{found.section} {in_short(found.name)}"
    days = f"{in_short(found.starts, language)} to {in_short(found.ends, language)}"
    return f"cover for {in_short(found.name)} by {in_short(found.covered_by)}, {days}"


def _change(value: ChangedValue, kind: str, language: str) -> str:
    as_is = is_remark(value.key) or value.key == COVERED_BY
    key = value.key if as_is else heading(value.key, language)
    before, after = in_short(value.before, language), in_short(value.after, language)
    if kind == "added":
        return f"{key}: {after}"
    if kind == "removed":
        return f"{key}: {before}"
    return f"{key}: {before} -> {after}"


def in_short(value: Any, language: str = "") -> str:
    """Return a value of a row, or the conditions under `not`, on one line; text in quotes."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_short(each, language)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(in_short(each, language) for each in value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return yes_or_no(value, language)
    return day_text(value, language) if isinstance(value, date) else in_words(value)
