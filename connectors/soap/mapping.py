"""Map a letter to an operation's input as the operator wrote it, checked against the input's shape.

A value is a constant; `"$field"`, a field of the letter; `"$field | $other | constant"`, the first
of them that a letter has; a table, for an element with elements; or a list, for one that is
repeated. `"$each"` in a table repeats it for each file. `$$` begins a constant with `$`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Protocol

from connectors.parcel.xml_characters import as_xml_text
from connectors.soap.fields import FILE, GROUPS, LETTER, Content, Field, find, members, value
from connectors.soap.shape import Kind, Node
from daemon.core.ports import Parcel
from daemon.core.spelling import did_you_mean
from daemon.core.times import in_utc, norwegian_day

EACH = "$each"
OPEN = "?"
"""The placeholder for a field that is still to be written. A mapping with it is refused."""
_FIRST_WITH_FOUR_DIGITS = 1000
_TAKES: dict[Kind, frozenset[str]] = {
    Kind.TEXT: frozenset({"text", "number", "boolean", "moment", "names", "content"}),
    Kind.BINARY: frozenset({"content"}),
    Kind.BOOLEAN: frozenset({"boolean"}),
    Kind.INTEGER: frozenset({"number"}),
    Kind.NUMBER: frozenset({"number"}),
    Kind.DATE: frozenset({"moment"}),
    Kind.MOMENT: frozenset({"moment"}),
}
_CONSTANTS: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str, int, float, bool, date),
    Kind.BINARY: (),
    Kind.BOOLEAN: (bool,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.DATE: (date,),
    Kind.MOMENT: (datetime,),
}


def _alternatives(text: str) -> list[str]:
    return [piece.strip() for piece in text.split(" | ")] if text.startswith("$") else [text]


def _field_name(piece: object) -> str | None:
    return (
        piece[1:]
        if isinstance(piece, str) and piece.startswith("$") and not piece.startswith("$$")
        else None
    )


def problems(shape: Node, mapping: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with a mapping, each as `problem; remedy`."""
    return list(_table_problems(shape, mapping, shape.name, in_file=False))


def _table_problems(node: Node, given: Any, path: str, *, in_file: bool) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"gives {path} no elements; write a table with: {', '.join(node.children)}"
        return
    for name, below in given.items():
        if name == EACH:
            yield from _each_problems(node, below, path)
        elif name not in node.children:
            yield f"maps {name!r}, which is not an element of {path}; {_hint(name, node.children)}"
        else:
            yield from _value_problems(
                node.children[name], below, f"{path}.{name}", in_file=in_file or EACH in given
            )
    for name, child in node.children.items():
        if child.required and name not in given:
            yield (
                f"does not map {path}.{name}, which the service must have ({child.kind}); add it"
            )
        elif child.required and child.many and _may_be_none(given[name]):
            remedy = 'add one that is always there to the list, such as the text by "$body.content"'
            yield (
                f"maps {path}.{name} from attachments only, but the service wants at least one, "
                f"and a letter may have none; {remedy}"
            )
    yield from _choice_problems(node, given, path)


def _choice_problems(node: Node, given: Mapping[str, Any], path: str) -> Iterator[str]:
    for choice in node.choices:
        mapped = [branch for branch in choice.branches if any(name in given for name in branch)]
        if len(mapped) > 1:
            both = " and ".join(next(name for name in branch if name in given) for branch in mapped)
            yield f"maps {both} in {path}, of which the service takes only one; remove the others"
        elif not mapped and choice.required:
            names = ", ".join(name for branch in choice.branches for name in branch)
            yield f"maps none of {names} in {path}, of which the service must have one; write one"


def _may_be_none(given: Any) -> bool:
    rows = given if isinstance(given, list) else [given]
    return all(isinstance(row, Mapping) and EACH in row for row in rows)


def _each_problems(node: Node, group: Any, path: str) -> Iterator[str]:
    if group not in GROUPS:
        yield f'has {path} with "{EACH}" = {group!r}; write one of: {", ".join(GROUPS)}'
    elif not node.many:
        yield (
            f"repeats {path} for each file, but the service takes it only once; put {EACH} at an "
            "element that is repeated"
        )


def _value_problems(node: Node, given: Any, path: str, *, in_file: bool) -> Iterator[str]:
    if isinstance(given, list):
        if not node.many:
            yield f"has a list for {path}, which the service takes only once; write one value"
            return
        for each in given:
            yield from _value_problems(node, each, path, in_file=in_file)
    elif node.kind is Kind.TABLE:
        yield from _table_problems(node, given, path, in_file=in_file)
    elif isinstance(given, Mapping):
        yield f"has a table for {path}, which is a {node.kind} without elements; write one value"
    else:
        yield from _plain_problems(node, given, path, in_file=in_file)


def _plain_problems(node: Node, given: Any, path: str, *, in_file: bool) -> Iterator[str]:
    pieces = _alternatives(given) if isinstance(given, str) else [given]
    can_be_missing = True
    for piece in pieces:
        name = _field_name(piece)
        if name is None:
            can_be_missing = False
            yield from _constant_problems(node, piece, path)
            continue
        field = find(name, in_file=in_file)
        if field is None:
            yield (
                f"maps {path} from {piece!r}, which is not a field of a letter; "
                f"{_field_hint(name, in_file=in_file)}"
            )
        elif field.kind not in _TAKES[node.kind]:
            yield (
                f"maps {path} from {piece!r}, a {field.kind}, but the service wants a {node.kind} "
                "there; map another field"
            )
        can_be_missing = can_be_missing and (field is None or field.nullable)
    if (
        can_be_missing
        and node.required
        and not node.nillable
        and node.kind not in {Kind.TEXT, Kind.BINARY}
    ):
        yield (
            f"maps {path} from {given!r}, which not every letter has; write an alternative, "
            'such as "$due_at | $published_at"'
        )


def _constant_problems(node: Node, piece: Any, path: str) -> Iterator[str]:
    fits = isinstance(piece, _CONSTANTS[node.kind]) and (
        node.kind is Kind.BOOLEAN or not isinstance(piece, bool) or node.kind is Kind.TEXT
    )
    if not fits:
        yield (
            f"has the constant {piece!r} for {path}, where the service wants a {node.kind}; write "
            'one, or a field such as "$title"'
        )


def _hint(word: str, known: Iterable[str]) -> str:
    names = list(known)
    folded = {name.casefold(): name for name in names}
    meant = folded.get(word.casefold(), word)
    return did_you_mean(meant, names) or f"it has: {', '.join(names) or 'none'}"


def _field_hint(name: str, *, in_file: bool) -> str:
    if name in FILE and not in_file:
        return f'write "{EACH}" = "attachments" into the table around it'
    if name == OPEN:
        return (
            "it was left open: write a constant or a field, or remove the line if the element is "
            "optional"
        )
    known = [*LETTER, *(FILE if in_file else ())]
    return did_you_mean(f"${name}", (f"${each}" for each in known)) or (
        "the fields are those of docs/message.schema.json, and docs/soap.md has the others"
    )


class Place(Protocol):
    """Puts content into the request."""

    def __call__(self, content: Content, *, binary: bool) -> bytes:
        """Take a content and return the bytes that stand for it.

        `binary`: it goes into an element (not an attribute) of a base64 type.
        """


@dataclass(frozen=True)
class Builder:
    """Builds the input from a mapping without problems.

    `place` puts content into the request, and returns what stands for it there.
    """

    parcel: Parcel
    place: Place

    def build(self, shape: Node, mapping: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input's values, as zeep takes them."""
        return self._table(shape, mapping, {})

    def _table(
        self, node: Node, given: Mapping[str, Any], file: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            node.children[name].zeep_name: self._value(node.children[name], below, file)
            for name, below in given.items()
            if name != EACH
        }

    def _value(self, node: Node, given: Any, file: Mapping[str, Any]) -> Any:
        if not node.many:
            return self._single(node, given, file)
        rows = given if isinstance(given, list) else [given]
        return [made for row in rows for made in self._rows(node, row, file)]

    def _rows(self, node: Node, given: Any, file: Mapping[str, Any]) -> Iterator[Any]:
        if isinstance(given, Mapping) and EACH in given:
            for member in members(self.parcel, given[EACH]):
                yield self._single(node, given, member)
            return
        found = self._found(given, file)[0] if node.kind is not Kind.TABLE else None
        if isinstance(found, tuple):
            yield from (_clean(each) for each in found)
            return
        made = self._single(node, given, file)
        if made is not None:
            yield made

    def _single(self, node: Node, given: Any, file: Mapping[str, Any]) -> Any:
        if node.kind is Kind.TABLE:
            return self._table(node, given, file)
        found, _ = self._found(given, file)
        if found is None:
            missing = {Kind.TEXT: "", Kind.BINARY: b""}.get(node.kind)
            return missing if node.required and not node.nillable else None
        if isinstance(found, Content):
            token = self.place(
                found, binary=node.kind is Kind.BINARY and not node.name.startswith("@")
            )
            return token if node.kind is Kind.BINARY else _base64_text(token)
        return _converted(node.kind, found)

    def _found(self, given: Any, file: Mapping[str, Any]) -> tuple[Any, Field | None]:
        """Return the first alternative that the letter has."""
        for piece in _alternatives(given) if isinstance(given, str) else [given]:
            name = _field_name(piece)
            if name is None:
                return (
                    piece[1:] if isinstance(piece, str) and piece.startswith("$$") else piece
                ), None
            found = value(self.parcel, name, file)
            if found is not None and found != "":
                return found, find(name, in_file=bool(file))
        return None, None


def _base64_text(token: bytes) -> str:
    import base64

    return base64.b64encode(token).decode()


def _converted(kind: Kind, found: Any) -> Any:
    if kind is Kind.DATE and isinstance(found, datetime):
        return _with_four_digits(norwegian_day(found))
    if kind is Kind.MOMENT and isinstance(found, datetime):
        return _with_four_digits(in_utc(found))
    return _clean(found) if kind is Kind.TEXT else found


def _with_four_digits(moment: date) -> date | str:
    """Return the moment, before the year 1000 as text.

    zeep would write such a year with fewer digits than the schema requires.
    """
    if moment.year >= _FIRST_WITH_FOUR_DIGITS:
        return moment
    return moment.isoformat().replace("+00:00", "Z")


def _clean(found: Any) -> str:
    """Return a value as text, with characters that XML cannot hold replaced."""
    if isinstance(found, bool):
        text = "true" if found else "false"
    elif isinstance(found, datetime):
        text = in_utc(found).isoformat().replace("+00:00", "Z")
    elif isinstance(found, tuple):
        text = ", ".join(found)
    else:
        text = str(found.value if isinstance(found, Enum) else found)
    return as_xml_text(text)
