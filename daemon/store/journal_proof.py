"""Proves some rows of the journal to others: rows in full, and of those between them only leaves.

A hash is that of the row before and of a leaf, and a leaf says nothing of its row. So leaves, from
a row on to the next signed head, prove the row: 32 bytes for each row between.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.core.errors import OperatorError
from daemon.store.database import Database
from daemon.store.journal.chain import COLUMNS, JournalFault
from daemon.store.journal.heads import HEAD, Head, fingerprint
from daemon.store.journal.reading import JournalPiece, journal_of, piece_of, values_of
from daemon.store.journal.rows import BEFORE_FIRST, hash_of, leaf_of
from daemon.store.sql_words import run

LEAF = 32
"""The size of a leaf, in bytes."""
_PIECE = 2000  # rows in one transaction: some 20 ms
_FULL = "SELECT at, kind, hash FROM journal WHERE sequence = ?"
_HASH = "SELECT hash FROM journal WHERE sequence = ?"
_AFTER = (
    f"SELECT {COLUMNS} FROM journal "  # noqa: S608  # our own names
    "WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
)
_HEAD = (
    "SELECT sequence FROM journal WHERE subject = 'journal' AND kind = ? AND sequence >= ? "
    "ORDER BY sequence LIMIT 1"
)


@dataclass(frozen=True, kw_only=True)
class ProvenRow:
    """A row of the journal in full."""

    sequence: int
    at: str
    kind: str
    subject: str
    facts: str
    salt: bytes | None = None
    body_salt: bytes | None = None
    hash: bytes = b""
    """As it is stored; empty if that is not known."""

    @property
    def leaf(self) -> bytes:
        """The hash of the row without the row before."""
        return leaf_of(self.sequence, self.at, self.kind, self.subject, self.facts)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Rows that follow one another, from a row that is to be proven to a signed head."""

    first: int
    previous: bytes
    """The hash of the row before the first."""
    leaves: bytes
    """Those of all rows, one after the other."""

    @property
    def last(self) -> int:
        """The last row, which has the head."""
        return self.first + len(self.leaves) // LEAF - 1

    def hashes(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield sequence, leaf and hash of each row."""
        found = self.previous
        for place in range(len(self.leaves) // LEAF):
            leaf = self.leaves[place * LEAF : (place + 1) * LEAF]
            found = hash_of(found, leaf)
            yield self.first + place, leaf, found


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What others need to verify some subjects: rows of tables and of the journal, and a chain."""

    values: Sequence[tuple[str, str, Mapping[str, Any]]]
    """Table, subject and values of each row, as they are stored."""
    rows: Sequence[ProvenRow]
    stretches: Sequence[Stretch]


def prove(database: Database, subjects: Collection[str]) -> Proof:
    """Return the proof of these subjects. Sign a head before, which covers the newest rows.

    Memory grows by 32 bytes for each row between the first row and the head after it. Raises
    StoreError, and OperatorError if the journal is damaged.
    """
    values: list[tuple[str, str, Mapping[str, Any]]] = []
    rows: dict[int, ProvenRow] = {}
    for subject in subjects:
        piece = piece_of(subject)
        with database.read() as session:
            connection: Any = session.connection()
            for binding, of, found in values_of(connection, piece):
                values.append((binding.table, of, binding.by_name(found)))
            rows.update((each.sequence, each) for each in journal_rows(connection, piece))
    stretches = list(_stretches(database, sorted(rows)))
    with database.read() as session:
        for each in stretches:
            rows[each.last] = _head_row(session.connection(), each.last)
    return Proof(values=values, rows=[rows[each] for each in sorted(rows)], stretches=stretches)


def journal_rows(connection: Any, piece: JournalPiece) -> Iterator[ProvenRow]:
    """Yield the rows of the journal in a piece, by subject and sequence."""
    for sequence, subject, facts, salt, body in list(journal_of(connection, piece)):
        at, kind, this = run(connection, _FULL, (sequence,)).one()
        yield ProvenRow(
            sequence=sequence,
            at=at,
            kind=kind,
            subject=subject,
            facts=facts,
            salt=salt,
            body_salt=body,
            hash=this,
        )


def _head_row(connection: Any, sequence: int) -> ProvenRow:
    names = ("sequence", "at", "kind", "subject", "facts", "hash")
    wanted = f"SELECT {', '.join(names)} FROM journal WHERE sequence = ?"  # noqa: S608  # our own names
    row = run(connection, wanted, (sequence,)).one()
    return ProvenRow(**dict(zip(names, row, strict=True)))


def _stretches(database: Database, sequences: Sequence[int]) -> Iterator[Stretch]:
    """Yield what covers these rows, which are in order."""
    last = 0
    for first in sequences:
        if first > last:
            with database.read_one() as connection:
                found = run(connection, _HEAD, (HEAD, first)).scalar()
            if found is None:
                raise _damaged(f"no signed head covers row {first}")
            last = int(found)
            yield _stretch(database, first, last)


def _stretch(database: Database, first: int, last: int) -> Stretch:
    leaves, previous, read = bytearray(), _hash_of_row(database, first - 1), first - 1
    while rows := _rows_between(database, read, last):
        try:
            leaves += b"".join(leaf_of(*row[:5]) for row in rows)
        except (TypeError, AttributeError) as error:  # a value of another type
            raise _damaged(f"a row between {first} and {last} was changed") from error
        read = rows[-1][0]
    if len(leaves) != (last - first + 1) * LEAF or not isinstance(previous, bytes):
        raise _damaged(f"a row between {first} and {last} is missing or was changed")
    return Stretch(first=first, previous=previous, leaves=bytes(leaves))


def _hash_of_row(database: Database, sequence: int) -> object:
    """Return what is stored as the hash of a row; that of row 0 is before the first."""
    if not sequence:
        return BEFORE_FIRST
    with database.read_one() as connection:
        return run(connection, _HASH, (sequence,)).scalar()


def _damaged(what: str) -> OperatorError:
    return OperatorError(
        f"The journal cannot prove the letter: {what}; run `postmottak journal verify`, which says "
        "what was changed"
    )


def _rows_between(database: Database, after: int, until: int) -> Sequence[Any]:
    with database.read_one() as connection:
        return list(run(connection, _AFTER, (after, until, _PIECE)))


def proof_faults(
    rows: Iterable[ProvenRow],
    stretches: Sequence[Stretch],
    keys: Collection[str],
    heads: Iterable[Head] = (),
) -> Iterator[JournalFault]:
    """Yield what is wrong with rows, the chain and its heads. Pure.

    `keys` are the public keys whose signatures hold, in hex, or their fingerprints; `heads` were
    published.
    """
    unseen = {each.sequence: each for each in rows}
    published = {each.sequence: each for each in heads}
    for stretch in stretches:
        before, found = "", stretch.previous.hex()
        row: ProvenRow | None = None
        for sequence, leaf, this in stretch.hashes():
            before, found = found, this.hex()
            row = unseen.pop(sequence, None)
            if row and row.leaf != leaf:
                yield _of(row, "was changed: it is not the one in the chain")
            if sequence in published and published.pop(sequence).hash != found:
                yield JournalFault(sequence=sequence, text="is not the row that was published")
        yield from _head_faults(row, before, keys)
    for row in unseen.values():
        yield _of(row, "is not in the chain")
    for sequence in sorted(published):
        yield JournalFault(
            sequence=sequence,
            text="a head was published for it, and the chain here does not have it; "
            f"{_covered(stretches)}",
        )


def _covered(stretches: Sequence[Stretch]) -> str:
    spans = ", ".join(f"{each.first} to {each.last}" for each in stretches)
    return f"name a head of one of the rows {spans}" if spans else "it has no rows"


def _head_faults(
    row: ProvenRow | None, before: str, keys: Collection[str]
) -> Iterator[JournalFault]:
    """Yield what is wrong with the end of a stretch; `before` is the hash of the row before it."""
    if row is None or row.kind != HEAD:
        sequence = row.sequence if row else None
        yield JournalFault(sequence=sequence, text="the chain does not end with a signed head")
        return
    try:
        head = Head.of_facts(json.loads(row.facts))
    except (ValueError, KeyError, TypeError):
        yield _of(row, "has no valid head")
        return
    if (head.sequence, head.hash) != (row.sequence - 1, before):
        yield _of(row, "signs other rows than those of the chain: one of them was changed")
    elif head.key not in keys and fingerprint(head.key) not in keys:
        yield _of(row, f"is signed with another key, {fingerprint(head.key)}")
    elif not head.is_signed():
        yield _of(row, "has a wrong signature")


def _of(row: ProvenRow, text: str) -> JournalFault:
    return JournalFault(sequence=row.sequence, kind=row.kind, subject=row.subject, text=text)
