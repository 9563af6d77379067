"""Writes the journal: in each transaction one row for each subject, chained to the newest row."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.capture import ADDED, CHANGED, REMOVED, Note
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
from daemon.store.sql_words import insert, run, words_of

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
_MOST = 2**62
"""No row gets so high a number. One that somebody else has given is not continued from."""
_NEWEST = (
    f"SELECT sequence, hash FROM journal WHERE sequence < {_MOST} ORDER BY sequence DESC LIMIT 1"  # noqa: S608  # our own number
)
_SALTS = (
    "SELECT subject, salt, body_salt FROM journal "
    "WHERE subject IN ({texts}) "
    "AND (salt IS NOT NULL OR body_salt IS NOT NULL)"
)
_FORGET = "UPDATE journal SET salt = NULL, body_salt = NULL WHERE subject = ?"
_FORGET_BODY = "UPDATE journal SET body_salt = NULL WHERE subject = ?"
_TOGETHER = 500  # rows that are inserted by one statement
NO_SALTS = Salts(None, None)


class _Subject:
    """What a transaction did to one subject."""

    __slots__ = ("entries", "happened", "is_asked", "is_removed", "new", "salts")

    def __init__(self) -> None:
        self.entries: dict[str, dict[tuple[Any, ...], Mapping[str, Any]]] = {}
        """The last state of each row, as the facts have it, by table and key."""
        self.happened: set[tuple[str, str]] = set()
        self.salts = self.new = NO_SALTS
        """Those in use, and those of them that no earlier row has."""
        self.is_asked = False
        """Whether it is known what salts earlier rows have."""
        self.is_removed = False

    def enter(self, binding: Binding, key: tuple[Any, ...], state: State) -> None:
        """Note the state of a row."""
        if state.private is not None and self.salts.salt is None:
            self._use(salt=os.urandom(SALT_SIZE))
        if binding.body and self.salts.body is None and has_body(binding, state):
            self._use(body=os.urandom(SALT_SIZE))
        self.note(binding.table, key, entry_of(binding, state, self.salts))

    def note(self, table: str, key: tuple[Any, ...], entry: Mapping[str, Any]) -> None:
        """Note what the facts are to have of a row."""
        if table in self.entries:
            self.entries[table][key] = entry
        else:
            self.entries[table] = {key: entry}

    def _use(self, **new: bytes) -> None:
        self.salts, self.new = self.salts._replace(**new), self.new._replace(**new)

    def rows(self, table: str) -> Iterable[Mapping[str, Any]]:
        """Return what the facts have of the rows of a table."""
        return self.entries.get(table, {}).values()

    def facts(self) -> str:
        """Return the facts of the journal's row."""
        entries = self.entries
        return ordered({table: list(entries[table].values()) for table in sorted(entries)}).decode()


class NewRow(NamedTuple):
    """A row without its place in the chain."""

    kind: str
    subject: str
    facts: str
    salts: Salts = NO_SALTS
    """Those that are new, and that later rows of the subject use too."""


def write_captured(connection: Any, notes: list[Note]) -> None:
    """Write what the transaction has changed into the journal; at its end, before the commit.

    `connection` is SQLAlchemy's. `notes` say what was changed; they are forgotten when they are no
    longer needed. Raises SQLAlchemyError.
    """
    if not notes:
        return
    found = _by_subject(connection, notes)
    notes.clear()
    for subject, each in found.items():
        if each.is_removed or any(BODY_DELETED in row for row in each.rows("messages")):
            run(connection, _FORGET if each.is_removed else _FORGET_BODY, (subject,))
    append(
        connection,
        [NewRow(_kind(each), subject, each.facts(), each.new) for subject, each in found.items()],
    )


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
        insert(connection, "journal", values)


def newest(connection: Any) -> tuple[int, bytes]:
    """Return the sequence and the hash of the newest row; those before the first if none is."""
    row = connection.exec_driver_sql(_NEWEST).first()
    if row is None:
        return 0, BEFORE_FIRST
    # what somebody else has put there must not stop letters; `journal verify` names the row
    return int(row[0]), row[1] if isinstance(row[1], bytes) else BEFORE_FIRST


def _by_subject(connection: Any, notes: Iterable[Note]) -> dict[str, _Subject]:
    found: defaultdict[str, _Subject] = defaultdict(_Subject)
    changed: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for number, what, row, *removed in notes:
        if what != REMOVED:
            changed[number].setdefault(row, what)
            continue
        binding, subject, key = BINDINGS[number], removed[0], tuple(removed[1:])
        of, named = found[str(subject)], zip(binding.key, key, strict=True)
        of.note(binding.table, key, dict(sorted([*named, (GONE, True)])))
        of.happened.add((binding.table, what))
        of.is_removed |= binding.main
    for number in sorted(changed):  # the main tables are first, so that what is new is known
        numbers = list(changed[number])
        for begun in range(0, len(numbers), _TOGETHER):
            some = {each: changed[number][each] for each in numbers[begun : begun + _TOGETHER]}
            _enter_rows(connection, BINDINGS[number], some, found)
    return found


def _enter_rows(
    connection: Any,
    binding: Binding,
    what: Mapping[int, str],
    found: defaultdict[str, _Subject],
) -> None:
    """Enter the rows with these numbers, and what happened to them."""
    rows = list(rows_by_number(connection, binding, what))
    if binding.main:
        for number, subject, _, _ in rows:
            found[subject].is_asked |= what[number] == ADDED
    _ask_for_salts(connection, {subject: found[subject] for _, subject, _, _ in rows})
    for number, subject, key, state in rows:
        of = found[subject]
        of.enter(binding, key, state)
        of.happened.add((binding.table, what[number]))


def _ask_for_salts(connection: Any, found: Mapping[str, _Subject]) -> None:
    unknown = [subject for subject, of in found.items() if not of.is_asked]
    if not unknown:
        return
    asked = _SALTS.format(texts=words_of(connection).texts)
    for subject, salt, body in run(connection, asked, (json.dumps(unknown),)):
        before = found[subject].salts
        found[subject].salts = Salts(salt or before.salt, body or before.body)
    for subject in unknown:
        found[subject].is_asked = True


def _kind(of: _Subject) -> str:
    happened = of.happened
    if ("messages", ADDED) in happened:
        return "stored"
    if "attempts" not in of.entries and any("taken_at" in row for row in of.rows("deliveries")):
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
        append(connection, [_migrated(*each) for each in rows_of(connection, piece).items()])


def _migrated(subject: str, rows: Mapping[tuple[str, ...], tuple[Binding, State]]) -> NewRow:
    of = _Subject()
    for key, (binding, state) in rows.items():
        of.enter(binding, key, state)
    return NewRow(MIGRATED, subject, of.facts(), of.new)
