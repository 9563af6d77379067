"""Compares an edited table with the current one, and writes it to the table's file."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.routing.conditions import in_words
from daemon.routing.table import SECTIONS, Table

Row = dict[str, Any]


def toml_text(values: Row) -> str:
    """Return rows, as `Table.rows` has them, as the text of a routing.toml."""
    import tomli_w

    top = {key: value for key, value in values.items() if key not in SECTIONS}
    sections = [tomli_w.dumps(top)] if top else []
    for kind in SECTIONS:
        for row in values.get(kind, ()):
            sections.append(
                f"[[{kind}]]\n"
                + tomli_w.dumps({key: value for key, value in row.items() if key != "not"})
            )
            if "not" in row:
                sections.append(f"[{kind}.not]\n" + tomli_w.dumps(row["not"]))
    return "\n".join(sections)


def differences(before: Table, after: Table) -> list[str]:
    """Return what the second table adds, removes, changes and moves, one line each.

    The list is empty only if the tables are equal.
    """
    lines = []
    if before.follow_thread != after.follow_thread:
        lines.append(
            f"~ follow_thread: {in_words(before.follow_thread)} -> {in_words(after.follow_thread)}"
        )
    old, new = before.rows, after.rows
    for kind in SECTIONS:
        lines += _row_differences(kind, dict(_named(old[kind])), dict(_named(new[kind])))
    return lines


def _named(rows: list[Row]) -> Iterator[tuple[str, Row]]:
    """Yield the rows with the names people know them by.

    The second delegation of the same name is (2).
    """
    seen: Counter[str] = Counter()
    for row in rows:
        name = (
            repr(row["name"])
            if "name" in row
            else f"from {row['from']!r}, {row['starts']} to {row['ends']}"
        )
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", row


def _row_differences(kind: str, old: dict[str, Row], new: dict[str, Row]) -> Iterator[str]:
    yield from (f"- {kind} {name}" for name in old if name not in new)
    yield from (f"+ {kind} {name}" for name in new if name not in old)
    for name, row in new.items():
        if name in old and old[name] != row:
            yield f"~ {kind} {name}: {'; '.join(_changes(old[name], row))}"
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield f"~ the order of the {kind}s"


def _changes(old: Row, new: Row) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key}: {in_short(old.get(key))} -> {in_short(new.get(key))}"


def in_short(value: Any) -> str:
    """Return a value of a row, or the conditions under `not`, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_short(each)}" for key, each in value.items())
    return in_words(tuple(value) if isinstance(value, list) else value)


def replace_file(path: Path, text: str) -> Path:
    """Replace the file atomically, also through a symbolic link. Raises OSError.

    Keeps the old file's permissions. Returns where the old file is kept; nothing is kept if there
    was none.
    """
    real = path.resolve()
    old, temporary = path.with_name(f"{path.name}.old"), real.with_name(f".{real.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if real.exists():
        shutil.copy2(real, old)
        shutil.copymode(real, temporary)
    temporary.rename(real)
    return old
