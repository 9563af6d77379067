"""Verifies the chain of the journal, and its signed heads, in one walk with little memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from daemon.store.journal.heads import HEAD, Head, fingerprint
from daemon.store.journal.rows import BEFORE_FIRST, hash_of, leaf_of

Row = tuple[int, str, str, str, str, bytes]
"""Sequence, time, kind, subject, facts and hash."""
COLUMNS = "sequence, at, kind, subject, facts, hash"


@dataclass(frozen=True, kw_only=True)
class JournalFault:
    """Something that was changed: the row of the journal, what it is about, and what is wrong."""

    sequence: int | None
    kind: str = ""
    subject: str = ""
    text: str

    def __str__(self) -> str:
        row = f"row {self.sequence}" if self.sequence is not None else ""
        about = ", ".join(filter(None, (self.kind, self.subject and described(self.subject))))
        named = f"({about})" if self.subject else ""
        where = " ".join(filter(None, (row, named)))
        return f"{where}: {self.text}" if where else self.text


def described(subject: str) -> str:
    """Return a subject in words."""
    if subject.startswith("log "):
        return f"event {subject.removeprefix('log ').lstrip('0')}"
    try:
        return f"message {UUID(hex=subject)}"
    except ValueError:
        return subject


@dataclass(kw_only=True)
class Chain:
    """A walk through the rows, in their order. Give it every row, and then ask what is missing."""

    heads: Iterable[Head] = ()
    """Heads that were published, and that the chain must have. Their signatures are verified."""
    keys: Collection[str] = ()
    """Public keys whose signatures hold, in hex; without any, signatures are not verified."""
    sequence: int = 0
    previous: bytes = BEFORE_FIRST
    signed: int = 0
    """The last row that a head in the journal covers."""
    _published: dict[int, Head] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._published = {each.sequence: each for each in self.heads}

    def add(self, row: Row) -> Iterator[JournalFault]:
        """Verify the next row; yield what is wrong."""
        sequence, kind, found = row[0], row[2], row[5]
        if sequence != self.sequence + 1:
            text = _missing(self.sequence + 1, sequence - 1)
            yield JournalFault(sequence=self.sequence + 1, text=text)
        elif _recomputed(row, self.previous) != found:
            yield _of(
                row,
                "was changed, inserted or moved: its hash is not that of its content "
                f"after row {self.sequence}",
            )
        if kind == HEAD:
            yield from self._signed(row)
        published = self._published.pop(sequence, None)
        if published and published.hash != _hex(found):
            yield _of(row, f"is not the row that was published {published.at[:10]}")
        self.sequence, self.previous = sequence, found

    def end(self) -> Iterator[JournalFault]:
        """Yield what is missing at the end."""
        for sequence, each in sorted(self._published.items()):
            yield JournalFault(
                sequence=sequence,
                text=f"is missing: a head was published for it {each.at[:10]}",
            )

    def _signed(self, row: Row) -> Iterator[JournalFault]:
        try:
            head = Head.of_facts(json.loads(row[4]))
        except (ValueError, KeyError, TypeError):
            yield _of(row, "has no valid head")
            return
        if (head.sequence, head.hash) != (self.sequence, _hex(self.previous)):
            yield _of(row, "is a head of other rows than those before it")
        elif self.keys and head.key not in self.keys:
            yield _of(
                row,
                f"is signed with another key, {fingerprint(head.key)}: the key was replaced, or "
                "the rows were written by somebody without it",
            )
        elif not head.is_signed():
            yield _of(row, "has a wrong signature: the rows before it were written without the key")
        else:
            self.signed = head.sequence


def _hex(value: object) -> str:
    """Return bytes in hex; somebody may have put anything there."""
    return value.hex() if isinstance(value, bytes) else ""


def _recomputed(row: Row, previous: bytes) -> bytes | None:
    sequence, at, kind, subject, facts, _ = row
    try:
        return hash_of(previous, leaf_of(sequence, at, kind, subject, facts))
    except (TypeError, AttributeError, ValueError):  # a value of another type
        return None


def _missing(first: int, last: int) -> str:
    if last < first:
        return "is not in its place: a row before the first was inserted"
    return "is missing" if first == last else f"to {last} are missing"


def _of(row: Row, text: str) -> JournalFault:
    return JournalFault(sequence=row[0], kind=str(row[2]), subject=str(row[3]), text=text)
