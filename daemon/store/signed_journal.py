"""The journal of a store: signed heads, and its verification."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon.core.callbacks import do_nothing
from daemon.core.errors import JournalKeyMissing, StoreError
from daemon.store.database import Database
from daemon.store.journal.heads import HEAD, Head, fingerprint, public_of, sign
from daemon.store.journal.key import own_key, read_key
from daemon.store.journal.reading import piece_of
from daemon.store.journal.rows import canonical
from daemon.store.journal.writing import THE_JOURNAL, NewRow, append, newest
from daemon.store.journal_proof import Proof, ProvenRow, journal_rows, prove
from daemon.store.journal_verification import Verified, verify
from daemon.store.sql_words import run

_NEWEST_HEAD = (
    "SELECT facts FROM journal WHERE subject = ? AND kind = ? ORDER BY sequence DESC LIMIT 1"
)
_NEWEST_KIND = "SELECT kind FROM journal ORDER BY sequence DESC LIMIT 1"
_FIRST_UNSIGNED = (
    "SELECT at FROM journal WHERE sequence > coalesce("
    "(SELECT max(sequence) FROM journal WHERE subject = ? AND kind = ?), 0) "
    "ORDER BY sequence LIMIT 1"
)


class SignedJournal:
    """The journal of a store. May be used from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sign(self, key: bytes, now: datetime) -> Head:
        """Add a signed head to the journal, and return one that covers it too, for publishing.

        If nothing was added since the last head, none is added. `key` is the private key. Durable
        when it returns. Raises StoreError.
        """
        with self._database.write() as session:
            connection = session.connection()
            if _newest_kind(connection) != HEAD:
                head = sign(key, *newest(connection), _moment(now))
                append(connection, [NewRow(HEAD, THE_JOURNAL, canonical(head.facts()))])
            return sign(key, *newest(connection), _moment(now))

    def unsigned_since(self) -> datetime | None:
        """Return when the first row was written that no signed head covers yet.

        None if there is none. Raises StoreError.
        """
        with self._database.read_one() as connection:
            at = run(connection, _FIRST_UNSIGNED, (THE_JOURNAL, HEAD)).scalar()
        try:
            return datetime.fromisoformat(str(at)).astimezone(UTC) if at else None
        except (ValueError, OverflowError):  # changed by hand; `verify` finds that
            return None

    def signer(self) -> str:
        """Return the public key of the newest signed head, in hex; empty if there is none.

        Raises StoreError.
        """
        with self._database.read_one() as connection:
            facts = run(connection, _NEWEST_HEAD, (THE_JOURNAL, HEAD)).scalar()
        try:
            return Head.of_facts(json.loads(facts)).key if facts else ""
        except (ValueError, KeyError, TypeError):  # changed by hand; `verify` finds that
            return ""

    def key_fault(self, path: Path) -> str:
        """Return why this machine cannot sign with the key in the file, as other nodes do.

        Empty if it can, and where there are no other nodes. Raises StoreError.
        """
        signer = self.signer() if self._database.is_shared else ""
        if not signer:
            return ""
        what = "not there"
        if path.exists():
            try:
                key = read_key(path)
            except StoreError as error:
                return str(error)
            if public_of(key) == signer:
                return ""
            what = "another one"
        return (
            f"the journal is signed with the key {fingerprint(signer)}, and {path} is {what}; copy "
            "the file from a node that has it, with its owner and mode"
        )

    def own_key(self, path: Path) -> bytes:
        """Return the private key that is in the file; it is made if there is none anywhere.

        Raises StoreError, with the remedy; JournalKeyMissing if other nodes sign with another one.
        """
        if fault := self.key_fault(path):
            raise JournalKeyMissing(fault)
        return own_key(path)[0]

    def head(self, key: bytes, now: datetime) -> Head:
        """Return a signed head of the newest row, and change nothing. Raises StoreError."""
        with self._database.read_one() as connection:
            return sign(key, *newest(connection), _moment(now))

    def rows_of(self, subject: str) -> Sequence[ProvenRow]:
        """Return what the journal has of a subject. Raises StoreError."""
        with self._database.read() as session:
            return list(journal_rows(session.connection(), piece_of(subject)))

    def prove(self, subjects: Collection[str]) -> Proof:
        """Return what proves these subjects to others; see `prove`."""
        return prove(self._database, subjects)

    def verify(
        self,
        heads: Sequence[Head] = (),
        keys: Collection[str] = (),
        since: str = "",
        report: Callable[[str], None] = do_nothing,
    ) -> Verified:
        """Verify the journal and, without `since`, the tables; see `verify`."""
        return verify(self._database, heads, keys, since, report)


def _newest_kind(connection: Any) -> str:
    return str(run(connection, _NEWEST_KIND).scalar())


def _moment(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds")
