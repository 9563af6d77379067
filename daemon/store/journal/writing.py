"""Writes the journal: in each transaction one row for each subject, chained to the newest row."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.capture import ADDED, CHANGED, REMOVED, Note, captured
from daemon.store.journal.reading import all_pieces, rows_by_number, rows_of
from daemon.store.journal.rows import (
    BEFORE_FIRST,
    BODY_DELETED,
    GONE,
    SALT_SIZE,
    Salts,
    State,
    canonical,
    entry_of,
    has_body,
    hash_of,
    leaf_of,
    ordered,
)

BEGUN, MIGRATED = "begun", "migrated"
"""The kinds of the first row, and of what was stored before it."""
THE_JOURNAL = "journal"
"""The subject of rows about the journal itself."""
_KINDS = (
    ("messages", REMOVED, "removed"),
    ("deletions", ADDED, "retention"),
    ("legal_holds", "", "legal-hold"),
    ("acknowledgements", "", "acknowledgement"),
    ("deadlines", "", "deadline"),
    ("decisions", "", "decision"),
    ("attempts", "", "attempt"),
    ("deliveries", "", "delivery"),
    ("marks", "", "mark"),
    ("attachments", "", "attachment"),
    ("messages", CHANGED, "letter"),
    ("users", "", "user"),
    ("grants", "", "rights"),
    ("routing_versions", "", "table-in-force"),
    ("routing_changes", "", "table-change"),
    ("events", "", "event"),
)
"""What a row is called by what it has; the first that applies."""
_NEWEST = "SELECT sequence, hash FROM journal ORDER BY sequence DESC LIMIT 1"
_INSERT = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SALTS = (
    "SELECT subject, salt, body_salt FROM journal "
    "WHERE subject IN (SELECT value FROM json_each(?)) "
    "AND (salt IS NOT NULL OR body_salt IS NOT NULL)"
)
_FORGET = "UPDATE journal SET salt = NULL, body_salt = NULL WHERE subject = ?"
_FORGET_BODY = "UPDATE journal SET body_salt = NULL WHERE subject = ?"
_TOGETHER = 500  # rows that are inserted by one statement
NO_SALTS = Salts(None, None)


@dataclass
class _Subject:
    """What a transaction did to one subject: the last state of each row, and what happened."""

    rows: dict[tuple[Any, ...], tuple[Binding, State | None]] = field(default_factory=dict)
    happened: set[tuple[str, str]] = field(default_factory=set)
    kind: str = ""
    """What its row is called; empty if that depends on what happened."""
    is_new: bool = False
    """Whether the journal has nothing of it that has salts."""
    is_removed: bool = False


class NewRow(NamedTuple):
    """A row without its place in the chain."""

    kind: str
    subject: str
    facts: str
    salts: Salts = NO_SALTS
    """Those that are new, and that later rows of the subject use too."""


def write_captured(connection: Any) -> None:
    """Write what the transaction has changed into the journal; at its end, before the commit.

    `connection` is SQLAlchemy's. Raises SQLAlchemyError.
    """
    notes = captured(connection)
    if not notes:
        return
    subjects = list(_by_subject(connection, notes).items())
    notes.clear()
    for begun in range(0, len(subjects), _TOGETHER):
        some = subjects[begun : begun + _TOGETHER]
        known = _known_salts(connection, [name for name, each in some if not each.is_new])
        rows = []
        for subject, found in some:
            row, forget = _new_row(subject, found, known.get(subject, NO_SALTS))
            if forget:
                connection.exec_driver_sql(forget, (subject,))
            rows.append(row)
        append(connection, rows)


def _known_salts(connection: Any, subjects: Sequence[str]) -> dict[str, Salts]:
    if not subjects:
        return {}
    found: dict[str, Salts] = {}
    for subject, salt, body in connection.exec_driver_sql(_SALTS, (json.dumps(subjects),)):
        before = found.get(subject, NO_SALTS)
        found[subject] = Salts(salt or before.salt, body or before.body)
    return found


def append(connection: Any, rows: Iterable[NewRow]) -> None:
    """Add rows to the end of the journal, in a transaction that writes.

    Raises SQLAlchemyError.
    """
    sequence, previous = newest(connection)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    values = []
    for kind, subject, facts, salts in rows:
        sequence += 1
        previous = hash_of(previous, leaf_of(sequence, at, kind, subject, facts))
        values.append((sequence, at, kind, subject, facts, salts.salt, salts.body, previous))
    if values:
        connection.exec_driver_sql(_INSERT, values)


def newest(connection: Any) -> tuple[int, bytes]:
    """Return the sequence and the hash of the newest row; those before the first if none is."""
    row = connection.exec_driver_sql(_NEWEST).first()
    return (int(row[0]), bytes(row[1])) if row else (0, BEFORE_FIRST)


def _by_subject(connection: Any, notes: Iterable[Note]) -> dict[str, _Subject]:
    found: defaultdict[str, _Subject] = defaultdict(_Subject)
    changed: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for number, what, row, *removed in notes:
        if what != REMOVED:
            changed[number].setdefault(row, what)
            continue
        binding, subject, key = BINDINGS[number], removed[0], removed[1:]
        of = found[str(subject)]
        of.rows[binding.table, *key] = (binding, None)
        of.happened.add((binding.table, what))
        of.is_removed |= binding.main
    for number, rows in changed.items():
        binding = BINDINGS[number]
        for row, of_subject, row_key, state in rows_by_number(connection, binding, rows):
            of = found[of_subject]
            of.rows[(binding.table, *row_key)] = (binding, state)
            of.happened.add((binding.table, rows[row]))
            of.is_new |= binding.main and rows[row] == ADDED
    return found


def _new_row(subject: str, found: _Subject, known: Salts) -> tuple[NewRow, str]:
    """Return the row for a subject, and the statement that deletes salts, if any are to go.

    `known` are the salts that earlier rows of the subject have.
    """
    new = _new_salts(found.rows.values(), known)
    salts = Salts(known.salt or new.salt, known.body or new.body)
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for (table, *key), (binding, state) in found.rows.items():
        entry = (
            dict(sorted([*zip(binding.key, key, strict=True), (GONE, True)]))
            if state is None
            else entry_of(binding, state, salts)
        )
        if table in entries:
            entries[table].append(entry)
        else:
            entries[table] = [entry]
    forget = _FORGET if found.is_removed else ""
    if not forget and any(BODY_DELETED in each for each in entries.get("messages", ())):
        forget = _FORGET_BODY
    facts = ordered({table: entries[table] for table in sorted(entries)}).decode()
    return NewRow(_kind(found, entries), subject, facts, new), forget


def _new_salts(rows: Iterable[tuple[Binding, State | None]], known: Salts) -> Salts:
    """Return salts, as far as one of the rows has private values, or a text, and none is known."""
    private = body = False
    for binding, state in rows:
        if state is not None:
            private = private or state.private is not None
            body = body or has_body(binding, state)
    return Salts(
        os.urandom(SALT_SIZE) if private and not known.salt else None,
        os.urandom(SALT_SIZE) if body and not known.body else None,
    )


def _kind(found: _Subject, entries: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    if found.kind:
        return found.kind
    happened = found.happened
    if ("messages", ADDED) in happened:
        return "stored"
    if "attempts" not in entries and any(
        "taken_at" in each for each in entries.get("deliveries", ())
    ):
        return "pickup"
    tables = {table for table, _ in happened}
    return next(
        kind
        for table, what, kind in _KINDS
        if ((table, what) in happened if what else table in tables)
    )


def begin(connection: Any) -> None:
    """Begin the journal, if it is empty: with what is stored already, each subject in a row.

    So letters of earlier versions are covered from here on. In a transaction that writes; memory
    does not grow with the letters. Raises SQLAlchemyError.
    """
    if newest(connection)[0]:
        return
    counts = {
        each.table: connection.exec_driver_sql(f"SELECT count(*) FROM {each.table}").scalar()  # noqa: S608  # our own names
        for each in BINDINGS
    }
    append(connection, [NewRow(BEGUN, THE_JOURNAL, canonical({"rows": [counts]}))])
    for piece in all_pieces(connection):
        found = rows_of(connection, piece).items()
        append(
            connection,
            [
                _new_row(each, _Subject(rows=dict(rows), kind=MIGRATED, is_new=True), NO_SALTS)[0]
                for each, rows in found
            ],
        )
