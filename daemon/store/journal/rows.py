"""The rows of the journal: their facts, and their hashes. Pure.

Private values are in the facts as a hash of a random salt and the values. When retention deletes
the values, the salt goes too, and the hash says nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic_core import to_json

from daemon.store.journal.bindings import BODY_HASH, PRIVATE_HASH, Binding

BEFORE_FIRST = bytes(32)
"""What the first row has as the hash of the row before."""
GONE = "gone"
BODY_DELETED = "body_deleted_at"
SALT_SIZE = 16
_HALF = 32
"""Digits of a hash of private values, which are 128 bits. Only another text with the same hash is
of use to a forger, because the salt is made after the values are given; two texts with one hash,
which 64 bits of work would find, are of none (NIST SP 800-106, randomized hashing)."""
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class Salts(NamedTuple):
    """What makes the hashes of private values say nothing to others; None once it is deleted."""

    salt: bytes | None
    body: bytes | None


class State(NamedTuple):
    """The state of a row of a table: readable values, and what the salted hashes are made of."""

    clear: tuple[Any, ...]
    """In the order of `Binding.entry`, with nothing where the hashes are to be."""
    private: tuple[Any, ...] | None
    """In the order of `Binding.hidden`; None if there are none but usual ones."""
    body: bytes | None
    """The SHA-256 of the text and the summary; None if there are none."""


def canonical(facts: object) -> str:
    """Return JSON as RFC 8785 has it, for text, integers below 2**53, true, false, lists, objects.

    Keys must be ASCII. That is all that facts have, and for it Python's encoder writes what a
    library for RFC 8785 does, for an eighth of the time; a test compares the two.
    """
    return _encode(facts)


def ordered(facts: object) -> bytes:
    """Return the same for objects whose keys are in order, for a quarter of the time."""
    return to_json(facts, inf_nan_mode="constants")


def state_of(binding: Binding, values: tuple[Any, ...]) -> State:
    """Return the state of a row of a table.

    `values` are those of the row, as SQLite has them, in the order of `Binding.captured`. A text
    of some megabytes becomes 32 bytes, so a transaction may change many letters.
    """
    begin, end = binding.hidden_places
    private = values[begin:end]
    return State(
        values[:begin],
        None if private == binding.hidden.usual and not binding.main else private,
        _digest(binding, values[end:]) if binding.body else None,
    )


def _digest(binding: Binding, texts: tuple[Any, ...]) -> bytes | None:
    if texts == binding.text.usual:
        return None
    return sha256(ordered(binding.text.unusual(texts))).digest()


def entry_of(binding: Binding, state: State, salts: Salts) -> dict[str, Any]:
    """Return the state of a row, as the facts have it. What is usual is left out.

    A text that retention has deleted has no hash. `salts` are those of the subject.
    """
    values, places = list(state.clear), binding.places
    if state.private is not None:
        private = binding.hidden.unusual(state.private)
        values[places[PRIVATE_HASH]] = private_hash(binding.table, private, salts.salt)
    if binding.body:
        if has_body(binding, state):
            values[places[BODY_HASH]] = _half(salts.body, state.body or b"")
        elif state.body:
            values[places[BODY_HASH]] = "not deleted"
    return binding.entry.unusual(values)


def has_body(binding: Binding, state: State) -> bool:
    """Whether the row has a text that retention has not deleted; it may be empty."""
    return bool(binding.body) and state.clear[binding.places[BODY_DELETED]] is None


def private_hash(table: str, values: Mapping[str, Any], salt: bytes | None) -> str:
    """Return the hash of private values of a row, by name, in hex. They must be in order."""
    return _half(salt, ordered({table: values}))


def _half(salt: bytes | None, values: bytes) -> str:
    if not isinstance(salt, bytes) or not salt:  # removed or changed by hand, which `verify` finds
        return "no salt"
    return sha256(salt + values).hexdigest()[:_HALF]


def key_of(binding: Binding, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what identifies the row of an entry in the journal, with its table."""
    return (binding.table, *(str(entry.get(name)) for name in binding.key))


def leaf_of(sequence: int, at: str, kind: str, subject: str, facts: str) -> bytes:
    """Return the hash of a row without the row before."""
    row = to_json([sequence, at, kind, subject]).decode()
    return sha256(f"{row[:-1]},{facts}]".encode()).digest()


def hash_of(previous: bytes, leaf: bytes) -> bytes:
    """Return the hash of a row, by that of the row before and its own leaf."""
    return sha256(previous + leaf).digest()
