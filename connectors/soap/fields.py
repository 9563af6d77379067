"""The fields that a mapping can name.

These are the fields of docs/message.schema.json, the text itself, and those of each attachment.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from connectors.parcel.verify import verified_chunks
from daemon.core.document import File, LetterDocument
from daemon.core.model import KEPT_STATES
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel

FieldKind = Literal["text", "number", "boolean", "moment", "names", "content"]


@dataclass(frozen=True)
class Field:
    """What kind of value a field has, and whether a letter may lack it."""

    kind: FieldKind
    nullable: bool = False
    open_ended: bool = False
    """Whether any name may follow after a dot, such as a property's."""


@dataclass(frozen=True)
class Content:
    """Bytes that are sent as base64, never in memory as a whole.

    `open` may be called again, and raises as `verified_chunks` does.
    """

    open: Callable[[], Iterator[bytes]]
    size: int


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Field]]:
    for name, info in model.model_fields.items():
        inner, nullable = _bare(info.annotation)
        origin = get_origin(inner)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, f"{prefix}{name}.")
        elif origin is dict:
            yield f"{prefix}{name}", Field("text", nullable=True, open_ended=True)
        elif origin is tuple:
            if get_args(inner)[0] is str:
                yield f"{prefix}{name}", Field("names")
        else:
            yield f"{prefix}{name}", Field(_kind(inner), nullable)


def _bare(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in {Union, types.UnionType}:
        inner = [each for each in get_args(annotation) if each is not type(None)]
        return inner[0], True
    return annotation, False


def _kind(annotation: Any) -> FieldKind:
    kinds: dict[Any, FieldKind] = {
        datetime: "moment",
        bool: "boolean",
        int: "number",
        Literal[1]: "number",
    }
    return kinds.get(annotation, "text")


LETTER = dict(_fields(LetterDocument, "")) | {
    "body.text": Field("text"),
    "body.content": Field("content"),
}
FILE = dict(_fields(File, "file.")) | {
    "file.content": Field("content", nullable=True),
    "file.position": Field("number"),
}
GROUPS = ("attachments", "missing")
"""What `$each` can iterate over: the attachments that are stored here, and those that are missing.
"""


def find(name: str, *, in_file: bool) -> Field | None:
    """Return the field with that name. Fields of a file are known only inside an `$each`."""
    known = LETTER | FILE if in_file else LETTER
    if name in known:
        return known[name] if not known[name].open_ended else None
    path = next(
        (
            each
            for each in known
            if known[each].open_ended and name.startswith(f"{each}.") and name != f"{each}."
        ),
        None,
    )
    return known[path] if path else None


def members(parcel: Parcel, group: str) -> tuple[Mapping[str, Any], ...]:
    """Return the files of a group, each as values by field name."""
    parts = {part.name: part for part in parcel.parts}
    numbered = list(enumerate(parcel.document.files, start=1))
    here = group == "attachments"
    chosen = [
        (number, file)
        for number, file in numbered
        if (file.state in KEPT_STATES and file.name in parts) == here
    ]
    return tuple(_file(number, file, parts.get(file.name)) for number, file in chosen)


def _file(number: int, file: File, part: ParcelPart | None) -> Mapping[str, Any]:
    found = {f"file.{name}": getattr(file, name) for name in File.model_fields}
    content = Content(lambda: verified_chunks(part), part.size) if part else None
    return found | {"file.position": number, "file.content": content}


def value(parcel: Parcel, name: str, file: Mapping[str, Any]) -> Any:
    """Return the value of a field in the letter, or in the file of the current `$each`.

    None if it has no value there.
    """
    if name in file:
        return file[name]
    if name == "body.text":
        return parcel.body.decode()
    if name == "body.content":
        return Content(lambda: iter([parcel.body]), len(parcel.body))
    found: Any = parcel.document
    pieces = name.split(".")
    for place, piece in enumerate(pieces):
        if isinstance(found, Mapping):
            return found.get(".".join(pieces[place:]))  # the name of a property may have dots
        found = getattr(found, piece)
    return found
