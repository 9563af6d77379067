"""Sanitise values from outside: what no store can keep, and the unset values of .NET and Java.

Everything from a sender, a server or a file passes here before it is stored, compared or logged.
Pure; nothing here raises but `json_from`, and nothing is refused because of its size or depth.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from daemon.core.times import in_utc

DEEPEST_READ = 100
"""Levels of JSON that are read; a container below them is read as null."""
DEEPEST_HANDED_ON = 32
"""Levels of a letter's own JSON that are handed on: pickle, pydantic and many readers fail at some
hundreds.
"""

# UTF-8 has no half of a surrogate pair, and PostgreSQL no NUL
_NOT_TEXT = re.compile("[\ud800-\udfff\x00]")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?\s*(Z|z|[+-]\d\d:?\d\d)?", re.ASCII
)
_TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]+|[\]}]+', re.DOTALL)
_NOT_TEXT_ESCAPED = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
_DIGITS = 20  # of -2**63, with its sign
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSET_YEARS = frozenset({1, 9999})
_INT64 = range(-(2**63), 2**63)
_NEVER_CHANGED = (bool, datetime)


def text_from(value: object) -> str:
    """Return `value` if it is text, with U+FFFD for what cannot be stored; else an empty text.

    Halves of surrogate pairs and NUL cannot be stored.
    """
    if not isinstance(value, str):
        return ""
    return value if is_storable(value) else _NOT_TEXT.sub("\ufffd", value)


def is_storable(value: str) -> bool:
    """Whether the text can be stored, and used in an id, as it is."""
    try:
        value.encode()  # which costs a tenth of a search by a pattern
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def time_if_set(moment: datetime | None) -> datetime | None:
    """Return the aware moment in UTC, or None if it stands for an unset one.

    Those are the years 1 and 9999 (.NET's DateTime.MinValue and MaxValue, with whatever zone was
    added to them) and the first second of 1970 (Java's Date(0)).
    """
    if moment is None or moment.year in _UNSET_YEARS:
        return None
    found = in_utc(moment)
    return None if found.year in _UNSET_YEARS or found.replace(microsecond=0) == _EPOCH else found


def time_from(value: object) -> datetime | None:
    """Parse a moment of ISO 8601, cut to microseconds; without a zone it is in UTC.

    None if it is not valid, or stands for an unset one.
    """
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if not zone or zone in "Zz" else zone
    try:
        return time_if_set(
            datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{zone}")
        )
    except ValueError:
        return None


def whole_number_from(value: object) -> int | None:
    """Return a whole number that fits in 64 bits, or None."""
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and value in _INT64
        else None
    )


def identifier_from(value: object) -> int | None:
    """Return a number that identifies something; 0 and less are None."""
    found = whole_number_from(value)
    return found if found is not None and found > 0 else None


def is_said(value: object) -> bool:
    """Whether a protective flag is set: any value but a real `false` or a missing one sets it."""
    return value is not None and value is not False


def json_from(data: str | bytes) -> Any:
    """Parse JSON of any depth, and return it as `storable` does.

    Raises ValueError, and nothing else.
    """
    document = data if isinstance(data, str) else _decoded(data)
    try:
        found = _loads(document)
    except RecursionError:
        found = _loads(_shallow(document))
    return found if _is_plain(document) else storable(found)


def _is_plain(document: str) -> bool:
    """Whether it is certain, at a glance, that `storable` changes nothing that `_loads` returns."""
    return (
        document.count("[") + document.count("{") <= DEEPEST_READ
        and is_storable(document)
        and not _NOT_TEXT_ESCAPED.search(document)
    )


def storable(value: Any, deepest: int = DEEPEST_READ) -> Any:
    """Return a JSON value that every store and reader can hold.

    Text as `text_from` has it, also in keys; containers below the level `deepest` as None; whole
    numbers of more than 64 bits, and NaN and infinities, as text, so that they still count as set.
    """
    if isinstance(value, str):
        return text_from(value)
    if isinstance(value, Mapping):
        return _kept_object(value, deepest) if deepest > 0 else None
    if isinstance(value, list | tuple):
        return [storable(each, deepest - 1) for each in value] if deepest > 0 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _whole(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_deeper(value: Any, deepest: int) -> bool:
    """Whether a JSON value has containers below the level `deepest`."""
    inside = (
        value.values()
        if isinstance(value, Mapping)
        else value
        if isinstance(value, list | tuple)
        else None
    )
    return inside is not None and (
        deepest <= 0 or any(is_deeper(each, deepest - 1) for each in inside)
    )


def _kept_object(value: Mapping[Any, Any], deepest: int) -> dict[str, Any]:
    found = dict(value)
    texts: list[str] = list(value)
    for name, each in value.items():
        if isinstance(each, str):
            texts.append(each)
        elif each is not None and not isinstance(each, _NEVER_CHANGED):
            found[name] = storable(each, deepest - 1)
    return found if _are_storable(texts) else _renamed_object(value, deepest)


def _are_storable(texts: list[str]) -> bool:
    """Whether all are texts that can be stored: one look at many costs as much as at one."""
    try:
        return is_storable("".join(texts))
    except TypeError:
        return False


def _renamed_object(value: Mapping[Any, Any], deepest: int) -> dict[str, Any]:
    """Return the members; of names that become equal, the later ones get a number."""
    found: dict[str, Any] = {}
    for key, each in value.items():
        name = plain = text_from(str(key))
        place = 1
        while name in found:
            place += 1
            name = f"{plain} ({place})"
        found[name] = storable(each, deepest - 1)
    return found


def _whole(number: int) -> int | str:
    if number in _INT64:
        return number
    try:
        return str(number)
    except ValueError:  # Python writes no number of more than 4300 digits
        return hex(number)


def _loads(document: str) -> Any:
    """Parse JSON, with numbers as `storable` has them."""
    return json.loads(document, parse_int=_integer, parse_float=_real, parse_constant=str)


def _integer(digits: str) -> int | str:
    """Parse a whole number; a long one stays text.

    Python would refuse the whole document for a number of more than 4300 digits.
    """
    return _whole(int(digits)) if len(digits) <= _DIGITS else digits


def _real(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else str(number)


def _decoded(data: bytes) -> str:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return data.decode(encoding, "replace")


def _shallow(document: str) -> str:
    """Return the document with null for every container below the level DEEPEST_READ.

    If it is not JSON, neither is the result.
    """
    pieces: list[str] = []
    depth, begin, cut = 0, 0, False
    for token in _TOKENS.finditer(document):
        size, first = token.end() - token.start(), token[0][0]
        if first in "[{":
            if depth <= DEEPEST_READ < depth + size:
                pieces.append(document[begin : token.start() + DEEPEST_READ - depth] + "null")
                cut = True
            depth += size
        elif first in "]}":
            if depth - size <= DEEPEST_READ < depth:
                begin, cut = token.start() + depth - DEEPEST_READ, False
            depth -= size
    return "".join(pieces) + ("" if cut else document[begin:])
