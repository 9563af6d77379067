"""Writes the journal: in each transaction one row for each subject, chained to the newest row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.capture import ADDED, CHANGED, REMOVED, RowChange, captured
from daemon.store.journal.reading import all_pieces, rows_of
from daemon.store.journal.rows import (
    BEFORE_FIRST,
    BODY_DELETED,
    GONE,
    SALT_SIZE,
    Salts,
    State,
    canonical,
    entry_of,
    facts_of,
    has_body,
    hash_of,
    leaf_of,
)

BEGUN, MIGRATED = "begun", "migrated"
"""The kinds of the first row, and of what was stored before it."""
THE_JOURNAL = "journal"
"""The subject of rows about the journal itself."""
_KINDS = (
    ("messages", ADDED, "stored"),
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
_INSERT = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = "UPDATE journal SET salt = NULL, body_salt = NULL WHERE subject = ?"
_FORGET_BODY = "UPDATE journal SET body_salt = NULL WHERE subject = ?"
_TOGETHER = 500  # rows that are inserted by one statement
_SALTED_UNTIL_REMOVED = frozenset({"messages", "events"})


@dataclass(kw_only=True)
class _Subject:
    """What a transaction did to one subject: the last state of each row, and what happened."""

    rows: dict[tuple[Any, ...], tuple[Binding, State | None]] = field(default_factory=dict)
    happened: set[tuple[str, str]] = field(default_factory=set)
    kind: str = ""
    """What its row is called; empty if that depends on what happened."""

    def add(self, change: RowChange) -> None:
        """Add one change. The last one of a row holds."""
        table = change.binding.table
        self.rows[(table, *change.key)] = (change.binding, change.state)
        self.happened.add((table, change.what))


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """A row without its place in the chain."""

    kind: str
    subject: str
    facts: str
    salts: Salts


def write_captured(connection: Any) -> None:
    """Write what the transaction has changed into the journal; at its end, before the commit.

    `connection` is SQLAlchemy's. Raises SQLAlchemyError.
    """
    changes = captured(connection)
    if not changes:
        return
    subjects = _by_subject(changes)
    changes.clear()
    drafts = []
    for subject, found in subjects.items():
        draft, forget = _draft(subject, found)
        if forget:
            connection.exec_driver_sql(forget, (subject,))
        drafts.append(draft)
        if len(drafts) == _TOGETHER:
            append(connection, drafts)
            drafts.clear()
    append(connection, drafts)


def append(connection: Any, drafts: Iterable[NewRow]) -> None:
    """Add rows to the end of the journal, in a transaction that writes.

    Raises SQLAlchemyError.
    """
    sequence, previous = newest(connection)
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    rows = []
    for each in drafts:
        sequence += 1
        leaf = leaf_of(sequence, at, each.kind, each.subject, each.facts)
        this = hash_of(previous, leaf)
        salts = each.salts
        rows.append(
            (
                *(sequence, at, each.kind, each.subject, each.facts),
                *(salts.salt, salts.body, previous, this),
            )
        )
        previous = this
    if rows:
        connection.exec_driver_sql(_INSERT, rows)


def newest(connection: Any) -> tuple[int, bytes]:
    """Return the sequence and the hash of the newest row; those before the first if none is."""
    row = connection.exec_driver_sql(_NEWEST).first()
    return (int(row[0]), bytes(row[1])) if row else (0, BEFORE_FIRST)


def _by_subject(changes: Iterable[RowChange]) -> dict[str, _Subject]:
    found: dict[str, _Subject] = {}
    for change in changes:
        if change.subject not in found:
            found[change.subject] = _Subject()
        found[change.subject].add(change)
    return found


def _draft(subject: str, found: _Subject) -> tuple[NewRow, str]:
    """Return the row for a subject, and the statement that deletes salts, if any are to go."""
    salts = _new_salts(found.rows.values())
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for (table, *key), (binding, state) in found.rows.items():
        entry = (
            {**dict(zip(binding.key, key, strict=True)), GONE: True}
            if state is None
            else entry_of(binding, state, salts)
        )
        entries.setdefault(table, []).append(entry)
    forget = ""
    if any((table, REMOVED) in found.happened for table in _SALTED_UNTIL_REMOVED):
        forget = _FORGET
    elif any(BODY_DELETED in each for each in entries.get("messages", ())):
        forget = _FORGET_BODY
    facts = canonical(facts_of(entries, salts))
    return NewRow(kind=_kind(found, entries), subject=subject, facts=facts, salts=salts), forget


def _new_salts(rows: Iterable[tuple[Binding, State | None]]) -> Salts:
    """Return salts, as far as one of the rows has private values, or a text."""
    there = [(binding, state) for binding, state in rows if state is not None]
    private = any(state.private for _, state in there)
    body = any(has_body(binding, state) for binding, state in there)
    return Salts(
        salt=os.urandom(SALT_SIZE) if private else None,
        body=os.urandom(SALT_SIZE) if body else None,
    )


def _kind(found: _Subject, entries: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    if found.kind:
        return found.kind
    taken = any("taken_at" in each for each in entries.get("deliveries", ()))
    if taken and "attempts" not in entries:
        return "pickup"
    tables = {table for table, _ in found.happened}
    return next(
        kind
        for table, what, kind in _KINDS
        if ((table, what) in found.happened if what else table in tables)
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
    salts = Salts(salt=None, body=None)
    facts = canonical(facts_of({"rows": [counts]}, salts))
    append(connection, [NewRow(kind=BEGUN, subject=THE_JOURNAL, facts=facts, salts=salts)])
    for piece in all_pieces(connection):
        found = rows_of(connection, piece).items()
        append(
            connection,
            [_draft(each, _Subject(rows=dict(rows), kind=MIGRATED))[0] for each, rows in found],
        )
