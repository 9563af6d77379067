"""Compares message.json, as others got the letter, with the rows that the journal proves. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

_Row: TypeAlias = Mapping[str, Any]
_Rows: TypeAlias = Callable[[str], list[_Row]]
_SAME = (
    *("title", "summary", "language", "sender_reference", "party", "confirmation_needed"),
    *("kind", "confidential", "party_name"),
)
"""What has the same name as in the table."""
_MOMENTS = ("published_at", "created_at", "due_at", "fetched_at")
_JSON = ("properties", "references", "reply_options")
_NAMED = {
    ("sender", "organisation"): "sender_org",
    ("sender", "name"): "sender_name",
    ("sender", "technical_organisation"): "technical_sender",
    ("source", "id"): "external_id",
    ("source", "mailbox"): "mailbox",
    ("source", "resource"): "resource",
    ("source", "altinn2_id"): "altinn2_id",
    ("service", "code"): "service",
    ("body", "media_type"): "body_type",
}
_FILE = {
    "name": "safe_name",
    "original_name": "original_name",
    "display_name": "display_name",
    "media_type": "media_type",
    "state": "state",
    "encrypted": "encrypted",
    "size": "size",
    "sha256": "sha256",
    "sender_checksum": "sender_checksum",
}
_Compared: TypeAlias = Iterator[tuple[str, object, object]]
"""A name, what message.json has, and what the tables have."""


def message_faults(message: _Row, rows: _Rows, letter: UUID) -> Iterator[str]:
    """Yield what of message.json is not as the tables have it; nothing without a letter."""
    for row in rows("messages"):
        compared = (*_of_letter(message, row, letter), *_of_files(message, rows))
        for name, said, stored in (*compared, *_of_delivery(message, rows)):
            if (said or None) != (stored or None):
                yield f"{name} is not what the store had"


def value_of(value: object, *names: str) -> Any:
    """Return what is under these names, one in the other; None if it is not there."""
    found = value
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _of_letter(message: _Row, row: _Row, letter: UUID) -> _Compared:
    yield "id", value_of(message, "id"), str(letter)
    for name in _SAME:
        yield name, value_of(message, name), row.get(name)
    for name in _MOMENTS:
        yield name, _digits(value_of(message, name)), _digits(row.get(name))
    for names, column in _NAMED.items():
        yield ".".join(names), value_of(message, *names), row.get(column)
    if not value_of(message, "remarks"):  # they say what is not as it was sent
        for name in _JSON:
            yield name, value_of(message, name), _json(row.get(name))
    body = str(row.get("body")).encode()
    yield "body.sha256", value_of(message, "body", "sha256"), sha256(body).hexdigest()
    yield "body.size", value_of(message, "body", "size"), len(body)


def _of_files(message: _Row, rows: _Rows) -> _Compared:
    """Yield the attachments, in their order."""
    stored = sorted(rows("attachments"), key=lambda each: str(each.get("position")).zfill(9))
    found = value_of(message, "files")
    files = found if isinstance(found, list) else []
    yield "the number of files", len(files), len(stored)
    for number, (file, row) in enumerate(zip(files, stored, strict=False), start=1):
        for name, column in _FILE.items():
            yield f"file {number}, {name},", value_of(file, name), row.get(column)


def _of_delivery(message: _Row, rows: _Rows) -> _Compared:
    """Yield the delivery that the message names, and the decision that it carries out."""
    name = str(value_of(message, "delivery", "id")).replace("-", "")
    delivery = _first(rows("deliveries"), "id", name)
    yield "delivery.id", name, delivery.get("id")
    routing = value_of(message, "routing")
    yield (
        "delivery.generation",
        value_of(message, "delivery", "generation"),
        delivery.get("generation"),
    )
    yield "routing.destination", value_of(routing, "destination"), delivery.get("destination")
    yield "routing.recipients", value_of(routing, "recipients"), _json(delivery.get("recipients"))
    decision = _first(rows("decisions"), "number", delivery.get("decision"))
    yield "routing.version", value_of(routing, "version"), decision.get("routing_version")
    yield "routing.route", value_of(routing, "route"), decision.get("route")


def _first(rows: list[_Row], column: str, value: object) -> _Row:
    return next((each for each in rows if each.get(column) == value), {})


def _json(text: object) -> object:
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        return text


def _digits(moment: object) -> str:
    """Return a moment in UTC without the signs between its digits, which JSON and SQLite differ in.

    Zeros at the end of a fraction go too.
    """
    whole, _, fraction = str(moment or "").removesuffix("Z").replace("T", " ").partition(".")
    return f"{whole}.{fraction}".rstrip("0")
