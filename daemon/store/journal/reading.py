"""Reads the journal and what it binds, some subjects at a time, in the order of the subjects.

A reader blocks every commit, so each piece is read in a transaction of its own; in each, journal
and tables agree.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.rows import State, state_of
from daemon.store.sql_words import SqlWords, run, words_of

PIECE = 300
"""Rows of the journal, or of one table, in a piece at most: some 20 ms."""
_LAST_TEXT = "\U0010ffff"
_LAST_NUMBER = 2**63 - 1
_JOURNAL = (
    "SELECT sequence, subject, facts, salt, body_salt FROM journal "
    "WHERE subject > ? AND subject <= ? ORDER BY subject, sequence"
)
Rows: TypeAlias = Mapping[str, Mapping[tuple[str, ...], tuple[Binding, State]]]
"""The rows of tables, by subject, and by table and key."""
BoundValues: TypeAlias = tuple[Binding, str, tuple[Any, ...]]
"""A row of a table: its subject, and its values in the order of `Binding.captured`."""


@dataclass(frozen=True, kw_only=True)
class SubjectClass:
    """Subjects of one kind, which lie together in the order of subjects."""

    prefix: str
    tables: Sequence[str]
    """The first one has a row for each subject that is there."""
    numbered: bool = False

    @property
    def begin(self) -> str:
        """What is before all of them."""
        return self.prefix

    @property
    def end(self) -> str:
        """What is after all of them. Letters are first: a message id begins with 0 to f."""
        return f"{self.prefix}{_LAST_TEXT}" if self.prefix else "g"

    def key(self, subject: str) -> Any:
        """Return the key in the tables; None for what cannot be one."""
        if subject == self.end:
            return _LAST_NUMBER if self.numbered else _LAST_TEXT
        rest = subject.removeprefix(self.prefix)
        if not self.numbered:
            return rest
        if not rest:
            return -_LAST_NUMBER
        return int(rest) if rest.isascii() and rest.isdigit() else None

    def subject(self, key: Any) -> str:
        """Return the subject of a row with this key."""
        return f"{self.prefix}{key:012d}" if self.numbered else f"{self.prefix}{key}"

    @property
    def bindings(self) -> list[Binding]:
        """What binds its tables."""
        return [each for each in BINDINGS if each.table in self.tables]


CLASSES = (
    SubjectClass(
        prefix="",
        tables=(
            *("messages", "attachments", "decisions", "deliveries", "attempts", "marks"),
            *("acknowledgements", "deadlines", "deletions", "tombstones", "legal_holds"),
        ),
    ),
    SubjectClass(prefix="log ", tables=("events",), numbered=True),
    SubjectClass(prefix="table ", tables=("routing_versions",)),
    SubjectClass(prefix="table-change ", tables=("routing_changes",), numbered=True),
    SubjectClass(prefix="user ", tables=("users", "grants")),
)


@dataclass(frozen=True, kw_only=True)
class JournalPiece:
    """The subjects of a class after one and up to another."""

    of: SubjectClass
    after: str
    until: str


def piece_of(subject: str) -> JournalPiece:
    """Return the piece that has this subject only."""
    of = next(each for each in (*CLASSES[1:], CLASSES[0]) if subject.startswith(each.prefix))
    if of.numbered:
        before = of.subject((of.key(subject) or 0) - 1)
    else:
        before = f"{subject[:-1]}{chr(ord(subject[-1]) - 1)}{_LAST_TEXT}"
    return JournalPiece(of=of, after=before, until=subject)


def next_piece(connection: Any, of: SubjectClass, after: str, size: int = PIECE) -> JournalPiece:
    """Return the piece that follows; it ends with the class if it is the last."""
    ends = [_nth_of_journal(connection, of, after, size)]
    ends += [
        _nth_of_table(connection, of, binding, after, size)
        for binding in of.bindings
        if binding.table != "attempts"  # they go with their deliveries
    ]
    found = [each for each in ends if each and each < of.end and of.key(each) is not None]
    return JournalPiece(of=of, after=after, until=min(found, default=of.end))


def _nth_of_journal(connection: Any, of: SubjectClass, after: str, size: int) -> str | None:
    nth = (
        "SELECT subject FROM journal WHERE subject > ? AND subject < ? "
        "ORDER BY subject LIMIT 1 OFFSET ?"
    )
    row = run(connection, nth, (after, of.end, size)).first()
    return str(row[0]) if row else None


def _nth_of_table(
    connection: Any, of: SubjectClass, binding: Binding, after: str, size: int
) -> str | None:
    column = f'"{binding.walked}"'
    nth = (
        f"SELECT {column} FROM {binding.table} WHERE {column} > ? "  # noqa: S608  # our own names
        f"ORDER BY {column} LIMIT 1 OFFSET ?"
    )
    row = run(connection, nth, (of.key(after), size)).first()
    return of.subject(row[0]) if row and not isinstance(row[0], bytes) else None


def all_pieces(connection: Any) -> Iterator[JournalPiece]:
    """Yield all pieces of all classes, in one transaction of the caller's."""
    for of in CLASSES:
        after = of.begin
        while after != of.end:
            piece = next_piece(connection, of, after)
            yield piece
            after = piece.until


def rows_of(connection: Any, piece: JournalPiece) -> Rows:
    """Return the rows of the tables in a piece."""
    return rows_from(values_of(connection, piece))


def values_of(connection: Any, piece: JournalPiece) -> Iterator[BoundValues]:
    """Yield the rows of the tables in a piece as they are stored."""
    bounds = (piece.of.key(piece.after), piece.of.key(piece.until))
    for binding in piece.of.bindings:
        for row in _rows(connection, binding, binding.within("r"), bounds):
            _, subject, *values = map(_plain, row)
            yield binding, str(subject), tuple(values[len(binding.key) :])


def rows_from(found: Iterable[BoundValues]) -> Rows:
    """Return rows by subject, and by table and key."""
    rows: defaultdict[str, dict[tuple[str, ...], tuple[Binding, State]]] = defaultdict(dict)
    for binding, subject, values in found:
        key = (str(values[binding.places[name]]) for name in binding.key)
        rows[subject][binding.table, *key] = (binding, state_of(binding, values))
    return rows


def rows_by_number(
    connection: Any, binding: Binding, numbers: Iterable[int]
) -> Iterator[tuple[int, str, tuple[Any, ...], State]]:
    """Yield number, subject, key and state of the rows of a table with these row numbers."""
    some, words = json.dumps(list(numbers)), words_of(connection)
    these = f"r.{words.row_number(binding.table)} IN ({words.numbers}){words.in_order}"
    end = 2 + len(binding.key)
    # plain tuples: SQLAlchemy's rows cost as much as reading them
    for row in _rows(connection, binding, these, (some,)).cursor:
        yield row[0], str(row[1]), row[2:end], state_of(binding, row[end:])


def _rows(connection: Any, binding: Binding, where: str, parameters: tuple[Any, ...]) -> Any:
    wanted = _selected(binding.table, words_of(connection))
    return run(connection, f"{wanted} WHERE {where}", parameters)


@lru_cache
def _selected(table: str, words: SqlWords) -> str:
    binding = next(each for each in BINDINGS if each.table == table)
    values = f"{binding.identity('r', words)}, {binding.values('r', words)}"
    return f"SELECT r.{words.row_number(table)}, {values} FROM {table} AS r"  # noqa: S608  # our own names


def _plain(value: Any) -> Any:
    """Return a value of a row. Bytes, which only somebody else can have put there, are no text."""
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def journal_of(connection: Any, piece: JournalPiece) -> Iterator[tuple[int, str, str, Any, Any]]:
    """Yield sequence, subject, facts and salts of the rows of the journal in a piece, in order."""
    yield from run(connection, _JOURNAL, (piece.after, piece.until))
