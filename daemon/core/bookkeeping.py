"""Records beside letters: bookmarks, skipped letters, deletions, legal holds and alerts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from daemon.core.columns import enum_column
from daemon.core.deadlines import DeadlineState
from daemon.core.model import LetterRef, MessageKind, SightingState


class LetterPart(StrEnum):
    """The parts of a letter that retention handles separately.

    Metadata is everything that is neither of the others.
    """

    BODY = "body"  # the text, and its summary
    ATTACHMENTS = "attachments"
    METADATA = "metadata"


COLLISION = "collision"
"""The kind of alert that begins with a delivery: something else had the letter's name."""


CLOCK = "clock"
"""The kind of alert that this machine's clock is wrong, or that no source confirms it."""

ENDPOINT, LOCK, LOG, WATCH, WRONG_TOKEN = "endpoint", "lock", "log", "watch", "wrong-token"
FULL, PICKUP, STALLED, STORAGE = "full", "pickup", "stalled", "storage"
RESOURCES, BELL, PARTIES, EVENTS = "resources", "bell", "parties", "events"
UNSIGNED, UNPUBLISHED = "journal-unsigned", "journal-unpublished"
KEYLESS = "journal-key"
SEEN_BY_SERVICE = frozenset(
    {
        *(BELL, ENDPOINT, EVENTS, FULL, LOCK, LOG, PARTIES, PICKUP, RESOURCES, STALLED, WATCH),
        *(KEYLESS, STORAGE, UNPUBLISHED, UNSIGNED, WRONG_TOKEN),
    }
)
"""Kinds of alert that only the running service sees; others learn of them from the alerts in the
store.
"""


BEGUN, AGAIN, ENDED = "begun", "again", "ended"
"""What a destination was notified of: that a problem has begun, or that it is over; or that it has
begun, and not yet that it is about more than it was then.
"""


class Alert(SQLModel, table=True):
    """A problem, or one that has ended and whose end has not been reported to everyone yet.

    A row is deleted when nothing is left to report.
    """

    __tablename__ = "alerts"

    key: str = Field(primary_key=True, description="what is wrong with what, such as `dead erp`")
    kind: str
    critical: bool
    text: str
    began_at: datetime
    ended_at: datetime | None = None
    told: dict[str, str] = Field(
        default_factory=dict,
        sa_type=JSON,
        description="by destination: begun, again or ended, whichever was notified last",
    )
    incident: str = Field(default="", description="what alerts with one cause share")
    parties: list[str] = Field(
        default_factory=list,
        sa_type=JSON,
        description="the organisations it is about, of those that it was about when it began",
    )
    count: int = Field(
        default=1, description="how much it is about; at most as much as when it began"
    )


class Deletion(SQLModel, table=True):
    """One part of a letter that retention deleted: when, by whom and by which rule.

    Rows are only ever added, and outlive the letter.
    """

    __tablename__ = "deletions"

    message_id: UUID = Field(primary_key=True)
    part: LetterPart = Field(primary_key=True, sa_type=enum_column(LetterPart))
    deleted_at: datetime
    by: str = Field(description="service, or the user who gave the command")
    rule: str = Field(
        description="which rule of the configuration or of the routing table, and how long it keeps"
    )
    what: dict[str, Any] = Field(
        sa_type=JSON,
        description="how much it was: sizes in bytes, hashes and counts; no words of the letter",
    )


class Tombstone(SQLModel, table=True):
    """What is left of a letter whose metadata was deleted, so that it is never fetched again."""

    __tablename__ = "tombstones"
    __table_args__ = (Index("tombstones_by_altinn2_id", "altinn2_id"),)

    message_id: UUID = Field(primary_key=True)
    kind: MessageKind = Field(sa_type=enum_column(MessageKind))
    mailbox: str
    party: str
    service: str
    resource: str
    external_id: str
    altinn2_id: int | None = Field(default=None, sa_type=BigInteger)
    deleted_at: datetime


class LegalHold(SQLModel, table=True):
    """While one is active, retention deletes nothing of the letter."""

    __tablename__ = "legal_holds"

    id: int | None = Field(default=None, primary_key=True)
    message_id: UUID = Field(foreign_key="messages.id", index=True)
    begun_at: datetime
    begun_by: str = Field(description="the user who gave the command")
    reason: str = ""
    ended_at: datetime | None = Field(default=None, description="None while it is active")
    ended_by: str | None = None


class AcknowledgementState(StrEnum):
    """What a person has answered for a letter."""

    ACKNOWLEDGED = "acknowledged"  # has it, and deals with it
    REJECTED = "rejected"  # it is not theirs


class Acknowledgement(SQLModel, table=True):
    """A person's answer for a letter; the one with the greatest number holds."""

    __tablename__ = "acknowledgements"

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    number: int = Field(primary_key=True, description="1 for the first")
    state: AcknowledgementState = Field(sa_type=enum_column(AcknowledgementState))
    by: str = Field(description="the person: a user of the page, or as the command names them")
    at: datetime
    note: str = Field(default="", description="of a rejection, the reason")


class DeadlineAnswer(SQLModel, table=True):
    """What a person has said of a letter's deadline; `daemon.core.deadlines` says what holds."""

    __tablename__ = "deadlines"
    __table_args__ = (Index("deadlines_by_due", "due_at"),)

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    number: int = Field(primary_key=True, description="1 for the first")
    state: DeadlineState = Field(sa_type=enum_column(DeadlineState))
    due_at: datetime | None = Field(default=None, description="when it is due, if it is confirmed")
    by: str = Field(description="the person: a user of the page, or as the command names them")
    at: datetime
    note: str = Field(default="", description="the person's reason, which may be empty")


class DeadlineWarning(SQLModel, table=True):
    """One person is warned of one letter's deadline. Rows are stored before anything is sent."""

    __tablename__ = "deadline_warnings"

    id: UUID = Field(primary_key=True)
    message_id: UUID = Field(foreign_key="messages.id", index=True)
    due_at: datetime = Field(description="the deadline that it is about")
    step: str = Field(description="how long before, as the configuration has it")
    address: str = Field(description="the person's e-mail address")
    mail: UUID = Field(index=True, description="warnings of one mail share it, and its Message-ID")
    planned_at: datetime
    told_at: datetime | None = None
    try_at: datetime | None = Field(
        default=None, index=True, description="None if it is told or dropped"
    )
    attempts: int = 0
    last_error: str | None = None


class Calendar(SQLModel, table=True):
    """A calendar of deadlines that programs read by a secret address, until it is revoked.

    Of a user, who sees no more in it than on the page; of a recipient, if it was made by a command;
    or of both.
    """

    __tablename__ = "calendars"

    id: str = Field(primary_key=True, description="SHA-256 of the address's token, in hex")
    user: str | None = Field(default=None, foreign_key="users.name", index=True)
    recipient: str = Field(
        default="", description="only the letters of this recipient; empty for all of the user's"
    )
    titles: bool = Field(default=False, description="whether it has the titles of letters")
    made_at: datetime
    made_by: str
    used_at: datetime | None = Field(default=None, description="the last use, to about an hour")


class SkippedLetter(SQLModel, table=True):
    """A letter that was listed and is not stored, and why."""

    __tablename__ = "sightings"
    __table_args__ = (Index("sightings_by_state", "state"),)

    message_id: UUID = Field(
        primary_key=True, description="the id that the message has, or would have"
    )
    mailbox: str
    party: str
    service: str
    resource: str
    external_id: str
    state: SightingState = Field(sa_type=enum_column(SightingState))
    first_seen_at: datetime
    last_seen_at: datetime
    attempts: int = 0
    last_error: str | None = None
    routing_version: str | None = Field(
        default=None,
        description="the routing table that appointed no recipient; None if it was only listed",
    )
    failing_since: datetime | None = Field(
        default=None, description="since when it could not be fetched; None in every other state"
    )

    @property
    def ref(self) -> LetterRef:
        """Return the reference that fetches this letter."""
        return LetterRef(
            mailbox=self.mailbox,
            party=self.party,
            service=self.service,
            resource=self.resource,
            external_id=self.external_id,
            listed_at=self.first_seen_at,
        )


class Bookmark(SQLModel, table=True):
    """How far a channel has been read, and the result of its last listing.

    A channel is one party, service and resource of a mailbox.
    """

    __tablename__ = "bookmarks"

    mailbox: str = Field(primary_key=True)
    party: str = Field(primary_key=True)
    service: str = Field(primary_key=True)
    resource: str = Field(primary_key=True)
    position: datetime | None = Field(
        default=None,
        description="every letter up to here is stored; None before the first complete listing",
    )
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    last_error: str | None = None
    refused: bool = Field(default=False, description="the last listing failed: a right is missing")
    begun: bool = Field(default=False, description="whether it has ever been listed completely")
    begins_at: datetime | None = Field(
        default=None,
        description="how far back its first listing went, or will go; None for everything",
    )
    failing_since: datetime | None = Field(
        default=None,
        description=(
            "since when no listing was complete; None if the last one was, or if none is expected"
        ),
    )
    retired_at: datetime | None = Field(
        default=None,
        description="since when the configuration does not name the channel; None if it does",
    )
    compared_at: datetime | None = Field(
        default=None, description="when the whole channel was last compared with what is here"
    )


class RowCount(SQLModel, table=True):
    """How many letters there are, or deliveries in one state. Triggers of the database keep it."""

    __tablename__ = "row_counts"

    what: str = Field(primary_key=True, description="`messages`, or `deliveries.` and the state")
    count: int


class BellRecord(SQLModel, table=True):
    """How a mailbox's bell is used, and what it has found."""

    __tablename__ = "bells"

    mailbox: str = Field(primary_key=True)
    asked_until: datetime | None = Field(
        default=None, description="whatever rang up to here is dealt with, for every party"
    )
    rang_at: datetime | None = Field(
        default=None, description="when it last answered for at least one party"
    )
    lost_since: datetime | None = Field(
        default=None, description="since when some parties are refused; None if none is"
    )
    last_error: str | None = None
    parties_heard: int = Field(default=0, description="for which it answered in the last round")
    parties_listed: int = Field(default=0, description="for which it did not, so lists are used")
    found_by_bell: int = Field(default=0, description="letters that are stored because it rang")
    found_by_overlap: int = Field(
        default=0, description="the same, for what came up behind the time up to which it was asked"
    )
    found_by_walk: int = Field(
        default=0, description="letters that it missed, and the daily comparison found"
    )
    found_by_list: int = Field(
        default=0, description="letters found by lists of what is new, where it did not answer"
    )

    @property
    def found(self) -> dict[str, int]:
        """Return the numbers of letters, by what found them."""
        return {
            "bell": self.found_by_bell,
            "overlap": self.found_by_overlap,
            "walk": self.found_by_walk,
            "list": self.found_by_list,
        }


class RoutingVersion(SQLModel, table=True):
    """A routing table that is or was active, and since when it last was."""

    __tablename__ = "routing_versions"

    version: str = Field(primary_key=True, description="SHA-256 of the table's text")
    text: str
    in_force_since: datetime


class JournalRow(SQLModel, table=True):
    """What one transaction did to one subject, chained to the row before (docs/journal.md)."""

    __tablename__ = "journal"

    sequence: int = Field(primary_key=True, description="1 for the first; none is left out")
    at: str = Field(description="when it was written, by this machine's clock, in UTC")
    kind: str
    subject: str = Field(index=True, description="a message id, or such as `user anna`")
    facts: str = Field(description="canonical JSON (RFC 8785)")
    salt: bytes | None = Field(
        default=None,
        description="of the hashes in this and later rows of the subject; deleted with the values",
    )
    body_salt: bytes | None = Field(
        default=None, description="the same for the letter's text, which may go before"
    )
    hash: bytes = Field(description="SHA-256 of the hash before, and of all columns but the salts")


class Upgrade(SQLModel, table=True):
    """An upgrade of the tables, for the message of a version that does not know them yet."""

    __tablename__ = "upgrades"

    tables: str = Field(primary_key=True, description="the number that they have since")
    version: str = Field(description="of Postmottak")
