"""Compares an edited table with the current one, and writes it as TOML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from daemon.routing.conditions import in_words
from daemon.routing.spreadsheet.headings import NOT, columns_of, heading
from daemon.routing.spreadsheet.pairing import Row, moved, pairs
from daemon.routing.spreadsheet.remarks import as_comments, is_remark, rows_with_remarks
from daemon.routing.spreadsheet.wording import day_text, yes_or_no
from daemon.routing.table import SECTIONS, Table

_SWITCHES = frozenset({"continue", "enabled", "follow_thread", "keep_copy"})


def toml_text(values: Row) -> str:
    """Return rows, as `Table.rows` has them, with any remarks, as the text of a routing.toml."""
    import tomli_w

    top = {key: value for key, value in values.items() if key not in SECTIONS}
    sections = [tomli_w.dumps(top)] if top else []
    for kind in SECTIONS:
        for row in values.get(kind, ()):
            plain = {
                key: value for key, value in row.items() if key != "not" and not is_remark(key)
            }
            sections.append(f"{as_comments(row)}[[{kind}]]\n{tomli_w.dumps(plain)}")
            if "not" in row:
                sections.append(f"[{kind}.not]\n" + tomli_w.dumps(row["not"]))
    return "\n".join(sections)


def differences(before: Table, after: Table, language: str = "") -> list[str]:
    """Return what the second table adds, removes, changes and moves, one line each.

    Columns and values are called as in a sheet in that language. The list is empty only if the
    tables are equal, and people's remarks too.
    """
    lines = []
    if before.follow_thread != after.follow_thread:
        lines.append(
            f"~ {heading('follow_thread', language)}: {yes_or_no(before.follow_thread, language)} "
            f"-> {yes_or_no(after.follow_thread, language)}"
        )
    old, new = rows_with_remarks(before), rows_with_remarks(after)
    for kind in SECTIONS:
        wording = _Wording(kind, before, after, language)
        lines += _row_differences(old[kind], new[kind], wording)
    return lines


def _row_differences(old: Sequence[Row], new: Sequence[Row], wording: _Wording) -> Iterator[str]:
    same = pairs(old, new)
    gone = [number for number in range(len(old)) if number not in same]
    come = sorted(set(range(len(new))) - set(same.values()))
    for number in gone:
        row = old[number]
        yield f"- {wording.before(row)}, position {number + 1}{wording.content(row)}"
    for number in come:
        yield f"+ {wording.after(new[number])}, position {number + 1}{wording.content(new[number])}"
    for one, other in same.items():
        if changes := list(wording.changes(old[one], new[other])):
            yield f"~ {wording.before(old[one])}: {'; '.join(changes)}"
    for one in moved(same):
        yield f"~ {wording.before(old[one])} moves: position {one + 1} -> {same[one] + 1}"


@dataclass(frozen=True)
class _Wording:
    """How rows of one kind are shown to people."""

    kind: str
    old: Table
    new: Table
    language: str

    def _called(self, key: str) -> str:
        return key if is_remark(key) else heading(key, self.language)

    def _short(self, value: Any) -> str:
        return in_short(value, self.language)

    def before(self, row: Row) -> str:
        """Return what people call a row of the old table."""
        return self._named(row, self.old)

    def after(self, row: Row) -> str:
        """Return what people call a row of the new table."""
        return self._named(row, self.new)

    def _named(self, row: Row, table: Table) -> str:
        if self.kind != "delegation":
            return f"{self.kind} {self._short(row['name'])}"
        days = f"{self._short(row['starts'])} to {self._short(row['ends'])}"
        by = self._short(_covering(row, table))
        return f"cover for {self._short(row['from'])} by {by}, {days}"

    def content(self, row: Row) -> str:
        """Return what else a row says, where it comes or goes as a whole."""
        named = {"from", "to", "starts", "ends"} if self.kind == "delegation" else {"name"}
        rest = {key: value for key, value in row.items() if key not in named}
        values = flat(rest)
        words = "; ".join(
            f"{self._called(key)}: {self._short(values[key])}" for key in self._in_order(values)
        )
        return words and f": {words}"

    def _in_order(self, keys: Iterable[str]) -> list[str]:
        """Return the keys in the order of the sheet's columns, remarks last."""
        known = columns_of(self.kind)
        return sorted(keys, key=lambda key: known.index(key) if key in known else len(known))

    def changes(self, old: Row, new: Row) -> Iterator[str]:
        """Yield each value that differs, before -> after; of a cover also who the deputy is."""
        before, after = flat(old), flat(new)
        for key in self._in_order({**before, **after}):
            one, other = before.get(key), after.get(key)
            if one == other:
                continue
            if key in _SWITCHES:  # its default is left out of the rows
                other = not one if other is None else other
                one = not other if one is None else one
            yield f"{self._called(key)}: {self._short(one)} -> {self._short(other)}"
        if self.kind == "delegation":
            one, other = _covering(old, self.old), _covering(new, self.new)
            if one != other and not ("to" in old and "to" in new):
                yield f"covered by: {self._short(one)} -> {self._short(other)}"


def flat(row: Row) -> Row:
    """Return the values of a row by the columns of a sheet, those under `not` too."""
    nots = row.get("not", {})
    return {key: value for key, value in row.items() if key != "not"} | {
        f"{NOT}{key}": value for key, value in nots.items()
    }


def _covering(cover: Row, table: Table) -> str:
    """Return who covers: whom the cover names, or else the deputy."""
    away = table.recipients.get(cover["from"])
    return cover.get("to") or (away.deputy if away else "")


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
