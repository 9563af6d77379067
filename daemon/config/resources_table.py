"""Write a mailbox's table of resources into a configuration, and leave the rest as it is.

The text is changed by lines, because rewriting it from its values would lose the comments. What
results is read again: it must have the same values as before, except for the table.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from daemon.core.errors import OperatorError

Resources = Mapping[str, Sequence[str]]
"""The ids of a service's resources, by the service's code."""


def resources_block(mailbox: str, resources: Resources) -> str:
    """Return the table as it is written in a configuration."""
    rows = (f"{json.dumps(code)} = {json.dumps(list(ids))}\n" for code, ids in resources.items())
    return f"[mailbox.{_key(mailbox)}.resources]\n{''.join(rows)}"


def with_resources(text: str, mailbox: str, resources: Resources) -> str:
    """Return the configuration's text with the mailbox's table of resources.

    An earlier table keeps its comments, an earlier line `resources = …` becomes a comment. Raises
    OperatorError if the text is not written in sections, so that it has no place for the table.
    """
    wanted = deepcopy(tomllib.loads(text))
    wanted["mailbox"][mailbox]["resources"] = {code: list(ids) for code, ids in resources.items()}
    end = "\r\n" if "\r\n" in text else "\n"
    block = resources_block(mailbox, resources).replace("\n", end)
    lines = text.splitlines(keepends=True)
    changed = _replaced(lines, mailbox, block) or _inserted(lines, mailbox, block, end)
    if changed is None or not _means(changed, wanted):
        raise OperatorError(
            f"The file lacks a section [mailbox.{_key(mailbox)}] into which the resources could be "
            f"written; write them yourself:\n\n{resources_block(mailbox, resources)}"
        )
    return changed


def _replaced(lines: list[str], mailbox: str, block: str) -> str | None:
    """Return the text with a new table instead of the old one; None without an old one."""
    found = _section(lines, ("mailbox", mailbox, "resources"))
    if not found:
        return None
    begin, end = found
    kept = [
        line
        for first, last, is_statement in _pieces(lines, begin + 1, end)
        if not is_statement
        for line in lines[first:last]
    ]
    return "".join([*lines[:begin], block, *kept, *lines[end:]])


def _inserted(lines: list[str], mailbox: str, block: str, end_of_line: str) -> str | None:
    """Return the text with the table after the mailbox's section; None without that section.

    Comments above the next section stay there.
    """
    found = _section(lines, ("mailbox", mailbox))
    if not found:
        return None
    place, changed = found[0] + 1, list(lines)
    for first, last, is_statement in _pieces(lines, found[0] + 1, found[1]):
        if is_statement:
            place = last
            if "resources" in _values(lines[first:last]):
                changed[first:last] = [f"# {line}" for line in lines[first:last]]
    if not changed[place - 1].endswith("\n"):
        changed[place - 1] += end_of_line
    gap = end_of_line if place < len(changed) and changed[place].strip() else ""
    return "".join([*changed[:place], end_of_line, block, gap, *changed[place:]])


def _section(lines: Sequence[str], name: tuple[str, ...]) -> tuple[int, int] | None:
    """Return the section's lines, from its header to the next one."""
    headers = [(place, path) for place, line in enumerate(lines) if (path := _header(line))]
    for number, (place, path) in enumerate(headers):
        if path == name:
            following = headers[number + 1 :]
            return place, following[0][0] if following else len(lines)
    return None


def _header(line: str) -> tuple[str, ...]:
    """Return the keys of a section's header; nothing for any other line."""
    if not line.lstrip().startswith("["):
        return ()
    path: list[str] = []
    values: Any = _values([line])
    while isinstance(values, dict) and values:
        key, values = next(iter(values.items()))
        path.append(key)
    return tuple(path)


def _pieces(lines: Sequence[str], begin: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the statements of a section, which may have several lines, and the lines between."""
    place = begin
    while place < end:
        is_statement = bool(lines[place].strip()) and not lines[place].lstrip().startswith("#")
        last = place + 1
        while is_statement and last < end and not _values(lines[place:last]):
            last += 1
        yield place, last, is_statement
        place = last


def _values(lines: Sequence[str]) -> dict[str, Any]:
    """Return what the lines say; nothing if they are not complete."""
    try:
        return tomllib.loads("".join(lines))
    except tomllib.TOMLDecodeError:
        return {}


def _means(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if is_bare else json.dumps(name)
