"""The text of one row: its values change, its comments and its way of writing stay. Pure."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from daemon.page.editing.pieces import comments
from daemon.routing.spreadsheet.diff import toml_text

NOT = "not."
"""Begins the keys of a route's exceptions."""


def new_row(kind: str, values: Mapping[str, Any]) -> str:
    """Return the text of a new row; keys that begin with `not.` are exceptions."""
    return with_values(f"[[{kind}]]\n", kind, values)


def with_values(text: str, kind: str, values: Mapping[str, Any]) -> str:
    """Return the text with some values set; None removes one.

    A comment that stood beside something that is gone stands above the row from then on.
    """
    wanted = _wanted(_row(text, kind), values)
    found = _edited(text, kind, values)
    if not _says(found, kind, wanted):
        found = toml_text({kind: [wanted]})  # written again, because the editor could not
    lost = Counter(comments(text)) - Counter(comments(found))
    return "".join(f"{each}\n" for each in lost.elements()) + found


def _row(text: str, kind: str) -> dict[str, Any]:
    row: dict[str, Any] = tomllib.loads(text)[kind][0]
    return row


def _says(text: str, kind: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return _row(text, kind) == wanted
    except (tomllib.TOMLDecodeError, KeyError, IndexError):
        return False


def _wanted(row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    found, exceptions = dict(row), row.get("not", {})
    exceptions = dict(exceptions) if isinstance(exceptions, dict) else {}
    for key, value in values.items():
        place, name = (exceptions, key.removeprefix(NOT)) if key.startswith(NOT) else (found, key)
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
    found.pop("not", None)
    return found | ({"not": exceptions} if exceptions else {})


def _edited(text: str, kind: str, values: Mapping[str, Any]) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        row: Any = document[kind][0]
        for key, value in values.items():
            if key.startswith(NOT):
                if "not" not in row and value is not None:
                    row["not"] = tomlkit.table()
                _put(row.get("not", {}), key.removeprefix(NOT), value)
            else:
                _put(row, key, value)
        if "not" in row and not row["not"]:
            del row["not"]
        return tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError, ValueError, IndexError):
        return ""  # what the library does not manage is written again


def _put(table: Any, key: str, value: Any) -> None:
    from tomlkit.items import Array, String

    old = table.get(key)
    if value is None:
        table.pop(key, None)
    elif isinstance(old, Array) and isinstance(value, list):
        _put_items(old, value)
    elif isinstance(old, String) and isinstance(value, str):
        table[key] = _like(old, value)
    else:
        table[key] = value


def _put_items(array: Any, wanted: Sequence[Any]) -> None:
    """Change a list item by item, from its end, so that comments stay beside their items."""
    changes = SequenceMatcher(None, list(map(str, array)), list(map(str, wanted)), autojunk=False)
    for what, start, end, left, right in reversed(changes.get_opcodes()):
        if what == "equal":
            continue
        same = min(end - start, right - left)
        for offset in range(same):
            array[start + offset] = wanted[left + offset]
        for place in range(end - 1, start + same - 1, -1):
            del array[place]
        for offset in range(same, right - left):
            array.insert(start + offset, wanted[left + offset])


def _like(old: Any, value: str) -> Any:
    """Return a text in single quotes if the old one had them and it can be written so."""
    import tomlkit

    is_literal = old.as_string().startswith("'") and "'" not in value and value.isprintable()
    return tomlkit.string(value, literal=is_literal)
