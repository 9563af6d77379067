"""Turn errors of a parser or of pydantic into faults that an operator can act on.

Each has the file, the line, the key, what is wrong, and what to write instead.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from daemon.core.bounded_file import read_text_bounded
from daemon.core.errors import ConfigurationError, Fault
from daemon.core.proxies import Proxies
from daemon.core.spelling import did_you_mean, other_word_for

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY_PIECE = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_PIECE = _KEY_PIECE.pattern
_KEY = re.compile(rf"^\s*((?:{_PIECE})(?:\s*\.\s*(?:{_PIECE}))*)\s*=(.*)$")
_STRING = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'""")
_DAY_FIRST = re.compile(r"=\s*(\d{1,2})[./-](\d{1,2})[./-](\d{4})\s*(?:#|$)")
_WORDS = {
    "missing": ("is required", "Add it"),
    "bool_type": ("must be true or false", "Write true or false, without quotes"),
    "int_type": ("must be a whole number", "Write a number without quotes"),
    "int_parsing": ("must be a whole number", "Write a number without quotes"),
    "string_type": ("must be text in quotes", 'Write it as "…"'),
    "list_type": ("must be a list", 'Write it in brackets: ["…", "…"]'),
    "tuple_type": ("must be a list", 'Write it in brackets: ["…", "…"]'),
    "dict_type": ("must be a table", 'Write it as a table: { "…" = … }'),
    "too_short": ("is empty", "Write at least one value"),
    "string_too_short": ("is empty", "Write a word, or leave it out"),
    "date_from_datetime_parsing": (
        "must be a date",
        "Write a date without quotes, such as 2026-12-21",
    ),
    "date_type": ("must be a date", "Write a date without quotes, such as 2026-12-21"),
}


def key_text(path: KeyPath) -> str:
    """Return a key as an operator would refer to it: `mailbox.altinn.parties[1]`."""
    text = ""
    for piece in path:
        text += f"[{piece + 1}]" if isinstance(piece, int) else f"{'.' if text else ''}{piece}"
    return text


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a TOML file; return its text and its values. Raises ConfigurationError."""
    try:
        text = read_text_bounded(path)
    except OSError as error:
        reason = (error.strerror or "it cannot be opened").lower()
        fault = Fault(
            file=str(path),
            key="",
            problem=f"the file cannot be read: {reason}",
            remedy="Create it, or choose another file",
        )
        raise ConfigurationError([fault]) from error
    except UnicodeDecodeError as error:
        fault = Fault(
            file=str(path), key="", problem="the file is not in UTF-8", remedy="Save it as UTF-8"
        )
        raise ConfigurationError([fault]) from error
    return text, parse_toml(text, str(path))


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """Return the values in a TOML text.

    Raises ConfigurationError, with the line, if the text is not valid TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(found[1]) if found else None
        problem = "this is not valid TOML: " + re.sub(r"\s*\(at [^)]*\)", "", str(error)).lower()
        remedy = _remedy_for(text.split("\n")[line - 1] if line else "")
        raise ConfigurationError(
            [Fault(file=file, key="", line=line, problem=problem, remedy=remedy)]
        ) from error


def _remedy_for(line: str) -> str:
    """Say what to do about a line that is not valid TOML."""
    if day := _DAY_FIRST.search(line):
        return f"Write a date with the year first: {day[3]}-{day[2]:0>2}-{day[1]:0>2}"
    return "Look for a missing quote, bracket or equals sign in or just before this line"


class KeyLines:
    """Finds the line of each key in a TOML text. The text must be valid TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}
        section: KeyPath = ()
        open_until = ""
        for number, line in enumerate(text.split("\n"), start=1):
            if open_until:
                open_until = _still_open(line, open_until)
            elif (header := _HEADER.match(line)) and (names := _pieces(header[2])):
                section = self._enter(header[1], names, number)
            elif key := _KEY.match(line):
                self._lines.setdefault((*section, *_pieces(key[1])), number)
                open_until = _opened(key[2])

    def _enter(self, bracket: str, names: KeyPath, number: int) -> KeyPath:
        where: KeyPath = ()
        for name in names[:-1]:
            where = self._latest((*where, name))
        where = (*where, names[-1])
        if bracket == "[[":
            self._lines.setdefault(where, number)
            self._counts[where] = self._counts.get(where, -1) + 1
            where = (*where, self._counts[where])
        self._lines.setdefault(where, number)
        return where

    def _latest(self, where: KeyPath) -> KeyPath:
        return (*where, self._counts[where]) if where in self._counts else where

    def find(self, path: KeyPath) -> int | None:
        """Return the line of the key, or of the nearest thing around it; None if unknown."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None


def _pieces(dotted: str) -> KeyPath:
    return tuple(piece.strip("\"'") for piece in _KEY_PIECE.findall(dotted))


def _opened(value: str) -> str:
    """Return what must come before the value that begins with `value` ends.

    This is a triple quote, brackets, or nothing.
    """
    value = value.strip()
    for quotes in ('"""', "'''"):
        if value.startswith(quotes):
            return "" if quotes in value[3:] else quotes
    return "]" * max(0, _depth(value))


def _still_open(line: str, until: str) -> str:
    if until.startswith("]"):
        return "]" * max(0, len(until) + _depth(line))
    return "" if until in line else until


def _depth(text: str) -> int:
    bare = _STRING.sub("", text).split("#")[0]
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")


class FaultList:
    """Collects the faults of one file, and raises them all at once."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._text = text
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def add(self, path: KeyPath, problem: str, remedy: str) -> None:
        """Record a fault of the key at `path`."""
        self.faults.append(self._fault(path, problem, remedy))

    def _fault(self, path: KeyPath, problem: str, remedy: str) -> Fault:
        return Fault(
            file=self.file,
            key=key_text(path),
            line=self._lines.find(path),
            problem=problem,
            remedy=remedy,
        )

    @cached_property
    def _lines(self) -> KeyLines:
        return KeyLines(self._text)

    def validate(
        self,
        model: type[Model],
        values: Mapping[str, Any],
        path: KeyPath,
        base: Path,
        *,
        open_secrets: bool = True,
        proxies: Proxies | None = None,
    ) -> Model | None:
        """Return the values as `model`, or None after recording a fault for each error in them."""
        context = {
            "base": base,
            "open_secrets": open_secrets,
            **({"proxies": proxies} if proxies else {}),
        }
        try:
            return model.model_validate(dict(values), context=context)
        except ValidationError as error:
            errors = error.errors()
            for found in errors:
                if _is_echo(found, errors):
                    continue
                where = (*path, *(piece for piece in found["loc"]))
                self.add(where, *_explain(found, model))
            return None

    def rows(
        self, model: type[Model], section: str, values: Mapping[str, Any]
    ) -> dict[int, Model | None]:
        """Return the sections `[[section]]` as models, by their place in the file.

        A section with faults is None.
        """
        tables = values.get(section, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.add(
                (section,),
                "must be a list of sections",
                f"Write it in double brackets: [[{section}]]",
            )
            return {}
        return {
            place: self.validate(model, table, (section, place), Path())
            for place, table in enumerate(tables)
        }

    def warn(self, path: KeyPath, problem: str, remedy: str) -> None:
        """Record something that is allowed but probably not intended."""
        self.warnings.append(self._fault(path, problem, remedy))

    def unknown(self, path: KeyPath, word: str, known: Sequence[str], what: str) -> None:
        """Record that `word`, at `path`, is not a known `what`, and suggest the nearest one."""
        hint = did_you_mean(word, known)
        remedy = hint[0].upper() + hint[1:] if hint else f"Use one of: {', '.join(known) or 'none'}"
        self.add(path, f"{word!r} is not a known {what}", remedy)

    def raise_if_any(self) -> None:
        """Raise ConfigurationError if a fault was recorded."""
        if self.faults:
            raise ConfigurationError(self.faults)


def _is_echo(found: Any, errors: Sequence[Any]) -> bool:
    """Return whether a list is called too short only because its items are wrong.

    pydantic counts only valid items.
    """
    where = found["loc"]
    return found["type"] == "too_short" and any(
        each["loc"][: len(where)] == where for each in errors if each is not found
    )


def _explain(found: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind = str(found["type"])
    if kind == "extra_forbidden":
        word = str(found["loc"][-1])
        known = _keys_at(model, found["loc"][:-1])
        hint = other_word_for(word, known) or did_you_mean(word, known)
        remedy = hint[0].upper() + hint[1:] if hint else f"Known keys are: {', '.join(known)}"
        return f"{word!r} is not a known key here", remedy
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in {"literal_error", "enum"}:
        return (
            f"{found['input']!r} is not a valid value here",
            f"Use one of: {found['ctx']['expected']}",
        )
    if kind == "greater_than_equal":
        return f"must be at least {found['ctx']['ge']}", "Write a greater number"
    if kind == "less_than_equal":
        return f"must be at most {found['ctx']['le']}", "Write a smaller number"
    message = str(found["msg"]).removeprefix("Value error, ")
    problem, _, remedy = message.partition("; ")
    remedy = remedy or "Correct it"
    return problem, remedy[0].upper() + remedy[1:]


def _keys_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Return the keys that a (nested) model knows at `loc`."""
    current: Any = model
    for piece in loc:
        if (
            isinstance(piece, str)
            and isinstance(current, type)
            and issubclass(current, BaseModel)
            and piece in current.model_fields
        ):
            current = _model_in(current.model_fields[piece].annotation)
    fields = (
        current.model_fields if isinstance(current, type) and issubclass(current, BaseModel) else {}
    )
    return [field.alias or name for name, field in fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the model in an annotation such as `list[Model]` or `Model | None`.

    Without one, return the annotation itself.
    """
    for inner in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return annotation
