"""The rows of the journal: their facts, and their hashes. Pure.

Private values are in the facts as SHA-256 of a random salt and the values. When retention deletes
the values, the salt goes too, and the hash says nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from daemon.store.journal.bindings import FORMAT, Binding

BEFORE_FIRST = bytes(32)
"""What the first row has as the hash of the row before."""
GONE = "gone"
BODY_DELETED = "body_deleted_at"
SALT_SIZE = 16
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, kw_only=True)
class Salts:
    """What makes the hashes of private values say nothing to others; None once it is deleted."""

    salt: bytes | None
    body: bytes | None


@dataclass(frozen=True, kw_only=True)
class State:
    """The state of a row of a table: readable values, and what the salted hashes are made of."""

    key: tuple[Any, ...]
    clear: tuple[Any, ...]
    private: bytes | None
    body: bytes | None


def canonical(facts: object) -> str:
    """Return JSON as RFC 8785 has it, for text, integers below 2**53, true, false, lists, objects.

    Keys must be ASCII. That is all that facts have, and for it Python's encoder writes what a
    library for RFC 8785 does, for an eighth of the time; a test compares the two.
    """
    return _encode(facts)


def facts_of(entries: Mapping[str, Sequence[Mapping[str, Any]]], salts: Salts) -> dict[str, Any]:
    """Return the facts of a row: the state of each row of a table that was changed."""
    facts: dict[str, Any] = {"format": FORMAT, **entries}
    if salts.salt:
        facts["salt_hash"] = salt_hash(salts.salt)
    if salts.body:
        facts["body_salt_hash"] = salt_hash(salts.body)
    return facts


def salt_hash(salt: bytes) -> str:
    """Return what binds a salt, and says nothing of it."""
    return sha256(salt).hexdigest()


def state_of(binding: Binding, values: Sequence[Any]) -> State:
    """Return the state of a row of a table.

    `values` are those of the row, as SQLite has them, in the order of `Binding.columns`. A text of
    some megabytes becomes 32 bytes, so a transaction may change many letters.
    """
    key, clear = len(binding.key), len(binding.key) + len(binding.clear)
    body = clear + len(binding.private)
    return State(
        key=tuple(values[:key]),
        clear=tuple(values[key:clear]),
        private=_digest(values[clear:body]) if binding.private else None,
        body=_digest(values[body:]) if any(values[body:]) else None,
    )


def _digest(values: Sequence[Any]) -> bytes:
    text = json.dumps(values, default=bytes.hex, separators=(",", ":"))
    return sha256(text.encode("ascii")).digest()


def entry_of(binding: Binding, state: State, salts: Salts) -> dict[str, Any]:
    """Return the state of a row, as the facts have it. Empty values are left out.

    A text that retention has deleted has no hash.
    """
    names, values = (*binding.key, *binding.clear), (*state.key, *state.clear)
    entry = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    if state.private:
        entry["private_hash"] = _hidden(binding, state.private, salts.salt)
    if has_body(binding, state):
        entry["body_hash"] = _hidden(binding, state.body or b"", salts.body)
    elif state.body:
        entry["body_hash"] = "not deleted"
    return entry


def has_body(binding: Binding, state: State) -> bool:
    """Whether the row has a text that retention has not deleted; it may be empty."""
    return bool(binding.body) and state.clear[list(binding.clear).index(BODY_DELETED)] is None


def _hidden(binding: Binding, digest: bytes, salt: bytes | None) -> str:
    return sha256(salt + binding.table.encode() + digest).hexdigest() if salt else "no salt"


def key_of(binding: Binding, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what identifies the row of an entry in the journal, with its table."""
    return (binding.table, *(str(entry.get(name)) for name in binding.key))


def leaf_of(sequence: int, at: str, kind: str, subject: str, facts: str) -> bytes:
    """Return the hash of a row without the row before."""
    hashed = sha256(facts.encode()).hexdigest()
    return sha256(canonical([sequence, at, kind, subject, hashed]).encode()).digest()


def hash_of(previous: bytes, leaf: bytes) -> bytes:
    """Return the hash of a row, by that of the row before and its own leaf."""
    return sha256(previous + leaf).digest()
