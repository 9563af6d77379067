"""Verifies the whole journal: its chain, its signed heads, and the tables that it binds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from daemon.core.callbacks import do_nothing
from daemon.store.database import Database
from daemon.store.journal.bound import compare
from daemon.store.journal.chain import COLUMNS, Chain, JournalFault, Row
from daemon.store.journal.heads import Head
from daemon.store.journal.reading import CLASSES, JournalPiece, next_piece
from daemon.store.journal.rows import BEFORE_FIRST
from daemon.store.sql_words import run

MOST = 100
"""Faults that are named; after one change in the chain there may be as many as rows."""
_FIRST = -(2**63)  # no row is before it
_ROWS = 2000  # of the journal in one transaction: some 20 ms
_AFTER = f"SELECT {COLUMNS} FROM journal WHERE sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608  # our own names
_BEFORE = "SELECT sequence, hash FROM journal WHERE at < ? ORDER BY sequence DESC LIMIT 1"
_ORPHANS = "SELECT id FROM attempts WHERE delivery_id NOT IN (SELECT id FROM deliveries) LIMIT ?"


@dataclass(kw_only=True)
class Verified:
    """The result. `rows` is how many rows of the journal were read."""

    rows: int = 0
    subjects_compared: bool = True
    signed_until: int = 0
    """The last row that a signed head in the journal covers; 0 if none does."""
    newest: int = 0
    faults: list[JournalFault] = field(default_factory=list)
    more: bool = False
    """Whether there are more faults than are named."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(
    database: Database,
    heads: Sequence[Head] = (),
    keys: Collection[str] = (),
    since: str = "",
    report: Callable[[str], None] = do_nothing,
) -> Verified:
    """Verify the journal and, without `since`, the tables; read in pieces, and change nothing.

    `heads` were published; with `since`, ISO 8601 in UTC, only rows from then on are read. `keys`
    are the public keys whose signatures hold. Memory does not grow with the letters. May be called
    beside a running service. Raises StoreError.
    """
    found = Verified(subjects_compared=not since)
    begin, previous = _begin(database, since)
    chain = Chain(
        heads=[each for each in heads if each.sequence > begin],
        keys=keys,
        sequence=begin,
        previous=previous,
    )
    faults = _all(database, chain, found, report)
    found.faults = list(islice(faults, MOST))
    found.more = next(faults, None) is not None
    return found


def _all(
    database: Database, chain: Chain, found: Verified, report: Callable[[str], None]
) -> Iterator[JournalFault]:
    last = chain.sequence or _FIRST
    while rows := _rows_after(database, last):
        for row in rows:
            yield from chain.add(row)
        last = rows[-1][0]
        found.rows += len(rows)
        report(f"verifying the journal, {found.rows} rows seen")
    yield from chain.end()
    found.signed_until, found.newest = chain.signed, chain.sequence
    if found.subjects_compared:
        yield from _tables(database, report)


def _begin(database: Database, since: str) -> tuple[int, bytes]:
    with database.read_one() as connection:
        row = run(connection, _BEFORE, (since,)).first() if since else None
    if row is None:
        return 0, BEFORE_FIRST
    # another value was put there by hand: then the row after it has a wrong hash
    return int(row[0]), row[1] if isinstance(row[1], bytes) else b""


def _rows_after(database: Database, sequence: int) -> list[Row]:
    with database.read_one() as connection:
        return [tuple(row) for row in run(connection, _AFTER, (sequence, _ROWS))]


def _tables(database: Database, report: Callable[[str], None]) -> Iterator[JournalFault]:
    for of in CLASSES:
        after = of.begin
        while after != of.end:
            report(f"comparing the tables with the journal, at {after[:12] or 'the first letter'}")
            with database.read() as session:
                connection: Any = session.connection()
                piece: JournalPiece = next_piece(connection, of, after)
                faults = list(compare(connection, piece))
            yield from faults
            after = piece.until
    with database.read_one() as connection:
        orphans = run(connection, _ORPHANS, (MOST,)).scalars().all()
    for each in orphans:
        yield JournalFault(sequence=None, text=f"attempts {each}: its delivery is missing")
