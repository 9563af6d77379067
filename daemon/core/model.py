"""Letters and what belongs to them, as values and as tables.

Words are explained in docs/glossary.md. Times are aware and in UTC. Ids are derived, never random:
the same letter has the same ids after a repeat, a restart, and in a restored database. Values have
the fields of their table (`MessageValues`, `Message`), and cost a tenth of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from daemon.core.columns import enum_column
from daemon.core.missing_files import Lack, Opening

_mailbox_id = lru_cache(64)(partial(uuid5, UUID("6a1c2f0e-6b0f-5d55-9a3c-0f6e7d1b4c21")))


def message_id(mailbox: str, external_id: str) -> UUID:
    """Return the id of the letter that `mailbox` (its configured name) knows as `external_id`."""
    return uuid5(_mailbox_id(mailbox), external_id)


def delivery_id(message: UUID, destination: str, generation: int) -> UUID:
    """Return the id of a delivery, from which all that marks a repeat for a receiver is derived."""
    return uuid5(message, f"{destination}/{generation}")


class PartState(StrEnum):
    """Whether an attachment's bytes are in the content store, and if not, why."""

    PRESENT = "present"
    CHECKSUM_FAILED = "checksum_failed"  # kept, but does not match the sender's checksum
    EXPIRED = "expired"
    PURGED = "purged"
    SCAN_FAILED = "scan_failed"
    EXTERNAL = "external"  # the sender keeps it elsewhere; Altinn has no bytes
    UNAVAILABLE = "unavailable"  # for another reason; it may still come
    DELETED = "deleted"  # by retention


KEPT_STATES = frozenset({PartState.PRESENT, PartState.CHECKSUM_FAILED})
"""The states in which the bytes are in the content store."""

OPEN_STATES = frozenset({PartState.CHECKSUM_FAILED, PartState.UNAVAILABLE})
"""The states that may change when the mailbox is asked again; the others are final."""

NOT_HAD = "state NOT IN ('present', 'deleted')"
"""Attachments that did not come as sent. A partial index has exactly this condition."""


class DeliveryState(StrEnum):
    """The states of a delivery; docs/architecture.md shows the transitions."""

    PENDING = "pending"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    HELD = "held"
    DEAD = "dead"
    WITHDRAWN = "withdrawn"  # final: the letter goes elsewhere; the row and its attempts stay


class Outcome(StrEnum):
    """The result of one attempt."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    DEAD = "dead"
    LOST = "lost"  # the process ended during the attempt


class SightingState(StrEnum):
    """Why a letter that was listed is not stored."""

    WAITING = "waiting"  # confidential, and only listed
    GONE = "gone"  # removed between list and fetch
    FAILING = "failing"  # could not be fetched yet; tried again
    DUPLICATE = "duplicate"  # stored already, under its Altinn 2 id
    OLDER = "older"  # dated before the first poll's window, and left alone


class MessageKind(StrEnum):
    """Who wrote a message."""

    LETTER = "letter"
    NOTICE = "notice"  # Postmottak itself: a confidential letter waits in the mailbox
    CANARY = "canary"  # Postmottak itself: no letter, to see that letters come through


class MarkKind(StrEnum):
    """What can be reported to a sender."""

    READ = "read"
    CONFIRMED = "confirmed"


class MarkState(StrEnum):
    """Whether the mark has been set in the mailbox."""

    WAITING = "waiting"  # for the letter's deliveries, or for a person
    DUE = "due"
    TOLD = "told"  # accepted by the server, effect not verified yet
    DONE = "done"  # or, without a time, dropped


class Policy(StrEnum):
    """When a letter is marked as read or confirmed."""

    NEVER = "never"
    STORED = "stored"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"  # by a person


@dataclass(frozen=True, kw_only=True)
class LetterRef:
    """A letter as a listing has it: enough to fetch it."""

    mailbox: str
    party: str
    service: str
    resource: str
    external_id: str
    listed_at: datetime | None = field(default=None, compare=False)
    """When it was first listed, or rang, if that is known."""

    @cached_property
    def message_id(self) -> UUID:
        """The id that the letter has, or will have, in the store."""
        return message_id(self.mailbox, self.external_id)


class Envelope(SQLModel):
    """What a mailbox reports of a letter, validated; never changed once stored."""

    kind: MessageKind = Field(default=MessageKind.LETTER, sa_type=enum_column(MessageKind))
    mailbox: str
    external_id: str
    party: str = Field(description="organisation number of the recipient")
    service: str = Field(description="service code and edition, such as 4255/8")
    resource: str
    title: str
    summary: str = ""
    body: str = ""
    body_type: str = Field(default="text/markdown", description="text/markdown or text/html")
    language: str = ""
    sender_org: str | None = Field(default=None, description="number of the real sender")
    sender_name: str = ""
    technical_sender: str | None = Field(
        default=None, description="organisation number that put the letter into Altinn"
    )
    sender_reference: str = ""
    created_at: datetime | None = None
    requested_at: datetime | None = Field(
        default=None, description="publish time that the sender asked for; the list's time axis"
    )
    published_at: datetime
    due_at: datetime | None = None
    confidential: bool = False
    confirmation_needed: bool = False
    altinn2_id: int | None = Field(default=None, sa_type=BigInteger)
    properties: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    references: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    reply_options: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)

    @property
    def ref(self) -> LetterRef:
        """Return the reference that fetches this letter again."""
        return LetterRef(
            mailbox=self.mailbox,
            party=self.party,
            service=self.service,
            resource=self.resource,
            external_id=self.external_id,
        )


class Part(SQLModel):
    """What a mailbox reports of one attachment."""

    external_id: str
    original_name: str = Field(description="the file name as sent")
    display_name: str = ""
    media_type: str = "application/octet-stream"
    encrypted: bool = False
    sender_checksum: str = Field(
        default="",
        description="MD5 in hexadecimal, as the sender or Altinn computed it; empty if none",
    )
    state: PartState = Field(default=PartState.PRESENT, sa_type=enum_column(PartState))
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """An envelope and its attachments, as fetched and not yet stored."""

    envelope: Envelope
    parts: tuple[Part, ...]
    lacks: Mapping[str, Lack] = field(default_factory=dict)  # by the part's id
    opening: Opening | None = None


class MessageValues(Envelope):
    """What is stored of a letter itself."""

    id: UUID = Field(primary_key=True)
    fetched_at: datetime
    body_deleted_at: datetime | None = Field(
        default=None, description="when retention deleted the text and the summary"
    )
    party_name: str = Field(default="", description="the recipient's name when the letter came")
    listed_at: datetime | None = Field(default=None, description="when it was first listed or rang")


class Message(MessageValues, table=True):
    """A stored letter. It has at least one delivery that is not withdrawn."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("mailbox", "external_id"),
        Index("messages_by_arrival", "fetched_at"),
        Index("messages_by_altinn2_id", "altinn2_id"),
    )


class DecisionValues(SQLModel):
    """Where a letter was sent, by which route of which table, and why."""

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    number: int = Field(primary_key=True, description="1 for the first")
    decided_at: datetime
    routing_version: str = Field(foreign_key="routing_versions.version")
    route: str = Field(
        description="name of the route that decided, or a word in brackets if no route did"
    )
    chosen: list[str] = Field(sa_type=JSON, description="names of the recipients before delegation")
    recipients: list[str] = Field(
        sa_type=JSON, description="names of the recipients after delegation"
    )
    direct: list[str] = Field(
        sa_type=JSON, description="destinations that the route named without a recipient"
    )
    why: dict[str, Any] = Field(
        sa_type=JSON, description="the conditions that held, and what else had a part in it"
    )
    respond_by: datetime | None = Field(default=None, description="when `respond_within` ends")


class DecisionRow(DecisionValues, table=True):
    """A decision about a stored letter: the first on arrival, later ones by an operator."""

    __tablename__ = "decisions"
    __table_args__ = (Index("decisions_by_time", "decided_at", "route"),)


class ThreadValues(SQLModel):
    """What letters of one case share: the sender with a case number, or with a reference."""

    key: str = Field(primary_key=True)
    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)


class Thread(ThreadValues, table=True):
    """A case that a stored letter belongs to."""

    __tablename__ = "threads"


class AttachmentValues(Part):
    """What is stored of one attachment."""

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    position: int = Field(primary_key=True, description="1 for the first, in the sender's order")
    safe_name: str = Field(
        description="file name that is safe on any file system and unique in its letter"
    )
    size: int | None = Field(default=None, sa_type=BigInteger, description="bytes")
    sha256: str | None = Field(default=None, index=True)
    deleted_at: datetime | None = Field(default=None, description="when retention deleted it")
    accepted_at: datetime | None = Field(
        default=None, description="when an operator accepted that it did not come as sent"
    )


class Attachment(AttachmentValues, table=True):
    """One attachment of a stored letter.

    Its bytes are in the content store under `sha256`, if its state is a kept one.
    """

    __tablename__ = "attachments"
    __table_args__ = (Index("attachments_not_had", "message_id", sqlite_where=text(NOT_HAD)),)


class DeliveryValues(SQLModel):
    """One letter to one destination.

    `due_at` is when it may be tried next; while it is claimed, that is the end of the lease.
    `fence` counts the claims.
    """

    id: UUID = Field(primary_key=True)
    message_id: UUID = Field(foreign_key="messages.id", index=True)
    destination: str = Field(description="the destination's name in the configuration")
    recipients: list[str] = Field(
        sa_type=JSON, description="names of the recipients on whose behalf"
    )
    decision: int = Field(default=1, description="number of the decision that it carries out")
    generation: int = 1
    state: DeliveryState = Field(default=DeliveryState.PENDING, sa_type=enum_column(DeliveryState))
    created_at: datetime
    due_at: datetime
    owner: str | None = None
    fence: int = 0
    attempts: int = 0
    crashes: int = Field(default=0, description="attempts during which the process ended")
    last_error: str | None = None
    progress: dict[str, Any] | None = Field(
        default=None, sa_type=JSON, description="what the destination has done of it so far"
    )
    delivered_at: datetime | None = None
    awaiting_pickup: bool = Field(
        default=False, description="delivered, and not yet seen to be taken or rejected"
    )
    taken_at: datetime | None = None
    rejection: str | None = Field(default=None, description="why the receiver rejected it")
    evidence: dict[str, Any] | None = Field(
        default=None, sa_type=JSON, description="the destination's receipt"
    )


class Delivery(DeliveryValues, table=True):
    """A delivery of a stored letter. Rows that are pending, claimed or held are the outbox."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("message_id", "destination", "generation"),
        Index("deliveries_by_state_and_due", "state", "due_at"),
        Index("deliveries_by_state_and_destination", "state", "destination", "due_at"),
        Index("deliveries_awaiting_pickup", "awaiting_pickup", "delivered_at"),
        Index("deliveries_rejected", "rejection"),
        CheckConstraint("generation >= 1", name="generation_positive"),
    )


class AttemptRow(SQLModel, table=True):
    """One attempt of one delivery. Rows are only added; retention deletes them with the letter."""

    __tablename__ = "attempts"

    id: int | None = Field(default=None, primary_key=True)
    delivery_id: UUID = Field(foreign_key="deliveries.id", index=True)
    fence: int
    started_at: datetime
    duration_ms: int
    outcome: Outcome = Field(sa_type=enum_column(Outcome))
    reason: str = ""


class MarkValues(SQLModel):
    """One mark for the mailbox, Read or Confirmed: when it is due, and by which policy."""

    message_id: UUID = Field(foreign_key="messages.id", primary_key=True)
    kind: MarkKind = Field(primary_key=True, sa_type=enum_column(MarkKind))
    policy: Policy = Field(sa_type=enum_column(Policy))
    state: MarkState = Field(sa_type=enum_column(MarkState))
    due_at: datetime
    attempts: int = 0
    done_at: datetime | None = None
    last_error: str | None = None
    refused_since: datetime | None = Field(
        default=None, description="since when every try has failed; None if the last one did not"
    )


class Mark(MarkValues, table=True):
    """A mark of a stored letter, set or to be set."""

    __tablename__ = "marks"
    __table_args__ = (Index("marks_by_state_and_due", "state", "due_at"),)
