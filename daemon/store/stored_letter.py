"""What one transaction keeps of a letter, and how it is inserted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import Session, SQLModel

from daemon.core.awaited import AwaitedLetter, AwaitedValues
from daemon.core.missing_files import MissingFile, MissingFileValues, OpeningRow, OpeningValues
from daemon.core.model import (
    Attachment,
    AttachmentValues,
    DecisionRow,
    DecisionValues,
    Delivery,
    DeliveryValues,
    Mark,
    MarkValues,
    Message,
    MessageValues,
    Thread,
    ThreadValues,
)
from daemon.store.database import table_of


@dataclass(frozen=True, kw_only=True)
class StoredLetter:
    """Everything that one transaction keeps of a letter."""

    message: MessageValues
    attachments: Sequence[AttachmentValues]
    decision: DecisionValues
    deliveries: Sequence[DeliveryValues]
    marks: Sequence[MarkValues]
    threads: Sequence[ThreadValues] = ()
    awaited: AwaitedValues | None = None
    """None if nobody has to acknowledge it."""
    missing: Sequence[MissingFileValues] = ()
    opening: OpeningValues | None = None
    """None if it leaves no mark at the other side."""

    @property
    def hashes(self) -> list[str]:
        """The bytes that it refers to."""
        return [each.sha256 for each in self.attachments if each.sha256]


@dataclass(frozen=True, kw_only=True)
class Added:
    """The result of adding letters: those that were not stored before, and the duplicates."""

    new: Sequence[StoredLetter]
    duplicates: Mapping[UUID, UUID]
    """Those that are here under another id, and that id."""
    lacking: Collection[UUID] = ()
    """Those that were not stored, because their bytes were being removed."""
    claimed: Mapping[UUID, DeliveryValues] = field(default_factory=dict)
    """The deliveries that were stored as claimed, by their id."""


def insert_letters(
    session: Session,
    letters: Sequence[StoredLetter],
    claimed: Mapping[UUID, DeliveryValues],
) -> None:
    """Insert with one statement for each table, parents first.

    Row by row through the ORM takes five times as long.
    """
    for kind, rows in (
        (Message, [letter.message for letter in letters]),
        (Attachment, [each for letter in letters for each in letter.attachments]),
        (DecisionRow, [letter.decision for letter in letters]),
        (Thread, [each for letter in letters for each in letter.threads]),
        (Delivery, [claimed.get(each.id, each) for one in letters for each in one.deliveries]),
        (Mark, [each for letter in letters for each in letter.marks]),
        (AwaitedLetter, [letter.awaited for letter in letters if letter.awaited]),
        (MissingFile, [each for letter in letters for each in letter.missing]),
        (OpeningRow, [letter.opening for letter in letters if letter.opening]),
    ):
        _insert_rows(session, kind, rows)


def _insert_rows(session: Session, kind: type[SQLModel], rows: Sequence[SQLModel]) -> None:
    if rows:
        session.connection().execute(insert(table_of(kind)), [dict(vars(row)) for row in rows])
