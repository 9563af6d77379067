"""A letter as the server keeps it: what was sent, and the rows that record its history.

File names in the docstrings are those of Altinn/altinn-correspondence; APP is its
src/Altinn.Correspondence.Application.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import uuid4

from connectors.sandbox.letters import AttachmentStatus, PretendAttachment, PretendLetter, Status


@dataclass(frozen=True, kw_only=True)
class StatusRow:
    """One row of a letter's history."""

    status: Status
    text: str
    at: datetime


@dataclass(kw_only=True)
class AttachmentRecord:
    """An attachment as the server keeps it."""

    id: str
    attachment: PretendAttachment
    resource: str
    created_at: datetime
    status: AttachmentStatus
    status_at: datetime


@dataclass(kw_only=True)
class Record:
    """A letter as the server keeps it. Its times are resolved."""

    id: str
    letter: PretendLetter
    requested_at: datetime
    created_at: datetime
    published_at: datetime | None
    references: tuple[tuple[str, str], ...]
    notification_id: str
    attachments: tuple[AttachmentRecord, ...]
    rows: list[StatusRow] = field(default_factory=list)
    fetched: list[StatusRow] = field(default_factory=list)
    confirmations: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Confirmations in progress: when each becomes a row, and the time that the row will have."""
    last_fetch: dict[str, datetime] = field(default_factory=dict)

    def add(self, status: Status, at: datetime, text: str | None = None) -> None:
        """Add a row to the history; Fetched rows are kept separately."""
        rows = self.fetched if status is Status.Fetched else self.rows
        rows.append(StatusRow(status=status, text=text or status.name, at=at))

    def has_been(self, status: Status) -> bool:
        """Return whether there is a row of that status, Fetched included."""
        return any(row.status is status for row in (*self.rows, *self.fetched))

    @property
    def highest(self) -> StatusRow:
        """The row that is shown as the letter's status.

        Source: APP/Helpers/CorrespondenceExtensions.cs, GetHighestStatus.
        """
        return max(self.rows, key=lambda row: row.status)

    @property
    def newest(self) -> StatusRow:
        """The row that decides whether the letter is listed."""
        return max(reversed(self.rows), key=lambda row: row.at)

    @property
    def history(self) -> tuple[StatusRow, ...]:
        """All rows, Fetched included, by time."""
        return tuple(sorted((*self.rows, *self.fetched), key=lambda row: row.at))

    @property
    def read_at(self) -> datetime | None:
        """When it was first marked as read."""
        return min((row.at for row in self.rows if row.status is Status.Read), default=None)


def new_record(letter: PretendLetter, now: datetime) -> Record:
    """Return the record of a new letter."""
    published = letter.published_at or (now if letter.status is Status.Published else None)
    requested = letter.requested_at or published or now
    created = letter.created_at or min(requested, published or requested)
    references = letter.external_references
    record = Record(
        id=(letter.id or str(uuid4())).lower(),
        letter=replace(letter, senders_reference=letter.senders_reference or str(uuid4())),
        requested_at=requested,
        created_at=created,
        published_at=published,
        references=(("DialogportenDialogId", str(uuid4())),) if references is None else references,
        notification_id=str(uuid4()),
        attachments=tuple(
            _attachment(each, letter.resource, created) for each in letter.attachments
        ),
    )
    _write_first_rows(record, created, published or now)
    return record


def _write_first_rows(record: Record, created: datetime, published: datetime) -> None:
    record.add(Status.Initialized, created)
    last = record.letter.status
    if last in {Status.ReadyForPublish, Status.Published}:
        record.add(Status.ReadyForPublish, created)
    if last not in {Status.Initialized, Status.ReadyForPublish}:
        record.add(last, published)


def _attachment(
    attachment: PretendAttachment, resource: str, created: datetime
) -> AttachmentRecord:
    return AttachmentRecord(
        id=(attachment.id or str(uuid4())).lower(),
        attachment=attachment,
        resource=attachment.resource or resource,
        created_at=created,
        status=attachment.status,
        status_at=created,
    )
