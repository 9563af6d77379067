"""A letter as outside programs read it: `message.json`, a webhook's data, `messages show --json`.

The shape is versioned, its JSON Schema is docs/message.schema.json, and it never depends on when or
how often a delivery was tried: the same letter to the same destination gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from daemon.core.dpv import find_service
from daemon.core.model import (
    AttachmentValues,
    DecisionValues,
    DeliveryValues,
    MessageKind,
    MessageValues,
    PartState,
)
from daemon.core.outside_values import DEEPEST_HANDED_ON, is_deeper, storable


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServiceName(_Frozen):
    """The DPV service that the letter came through."""

    code: str = Field(description="Altinn 2's service code and edition, such as 4255/8")
    slug: str
    name: dict[str, str] = Field(description="the service's name by language: nb, nn, en")


class Source(_Frozen):
    """Where the letter came from."""

    mailbox: str = Field(description="the mailbox's name in Postmottak's configuration")
    id: str = Field(
        description="the id of the letter in the mailbox; for Altinn 3 the correspondence id"
    )
    resource: str = Field(description="Altinn 3 resource")
    altinn2_id: int | None = Field(
        description="the id in Altinn 2, for a letter that was moved from there"
    )


class Sender(_Frozen):
    """Who wrote the letter, and who put it into Altinn for the writer."""

    organisation: str | None = Field(description="organisation number of the real sender")
    name: str
    technical_organisation: str | None = Field(
        description="organisation number of the technical sender"
    )


class File(_Frozen):
    """One attachment.

    `name` is the file's name in the drop; files that are not present have neither size nor hash.
    """

    name: str
    original_name: str = Field(description="the name as sent; never use it as a path")
    display_name: str
    media_type: str
    state: PartState
    encrypted: bool
    size: int | None = Field(description="bytes")
    sha256: str | None
    sender_checksum: str = Field(description="MD5 in hexadecimal, empty if the sender gave none")
    deleted_at: datetime | None = Field(
        default=None, description="when retention deleted the file; its state is deleted then"
    )


class Body(_Frozen):
    """The letter's text."""

    name: str = Field(description="the file's name in the drop")
    media_type: str = Field(description="text/markdown or text/html")
    size: int = Field(description="bytes in UTF-8")
    sha256: str
    deleted_at: datetime | None = Field(
        default=None,
        description="when retention deleted the text and the summary; both are empty then",
    )


class Routing(_Frozen):
    """Why the letter went where it went."""

    version: str = Field(description="SHA-256 of the routing table that decided")
    route: str
    recipients: tuple[str, ...]
    destination: str


class DeliveryName(_Frozen):
    """The delivery that brought this copy; its id is the same in every repeat."""

    id: UUID
    generation: int


class LetterDocument(_Frozen):
    """One letter, as handed to one destination."""

    schema_version: Literal[1] = 1
    kind: MessageKind = Field(
        description=(
            "letter, or notice: Postmottak's own message that a confidential letter waits in the "
            "mailbox"
        )
    )
    id: UUID
    party: str = Field(description="organisation number of the recipient")
    service: ServiceName
    source: Source
    sender: Sender
    sender_reference: str
    title: str
    summary: str
    language: str
    body: Body
    published_at: datetime
    created_at: datetime | None
    fetched_at: datetime
    due_at: datetime | None
    confidential: bool
    confirmation_needed: bool
    properties: dict[str, object]
    references: tuple[dict[str, object], ...]
    reply_options: tuple[dict[str, object], ...]
    files: tuple[File, ...]
    routing: Routing
    delivery: DeliveryName
    remarks: tuple[str, ...] = Field(
        default=(),
        # a letter without any has the same bytes as before remarks were introduced
        exclude_if=lambda remarks: not remarks,
        description=(
            "what of the letter could not be handed on as it was sent, and why; missing if all of "
            "it could"
        ),
    )


_BODY_NAMES = {"text/markdown": "body.md", "text/html": "body.html"}


def letter_document(
    message: MessageValues,
    attachments: Sequence[AttachmentValues],
    decision: DecisionValues,
    delivery: DeliveryValues,
) -> LetterDocument:
    """Return the letter as the receiver of the delivery gets it; the same for every attempt."""
    return LetterDocument(
        kind=message.kind,
        id=message.id,
        party=message.party,
        service=_service_name(message.service),
        source=Source(
            mailbox=message.mailbox,
            id=message.external_id,
            resource=message.resource,
            altinn2_id=message.altinn2_id,
        ),
        sender=Sender(
            organisation=message.sender_org,
            name=message.sender_name,
            technical_organisation=message.technical_sender,
        ),
        sender_reference=message.sender_reference,
        title=message.title,
        summary=message.summary,
        language=message.language,
        body=_body(message),
        published_at=message.published_at,
        created_at=message.created_at,
        fetched_at=message.fetched_at,
        due_at=message.due_at,
        confidential=message.confidential,
        confirmation_needed=message.confirmation_needed,
        properties=_handed_on(message.properties),
        references=tuple(map(_handed_on, message.references)),
        reply_options=tuple(map(_handed_on, message.reply_options)),
        files=tuple(_file(each) for each in attachments),
        routing=Routing(
            version=decision.routing_version,
            route=decision.route,
            recipients=tuple(delivery.recipients),
            destination=delivery.destination,
        ),
        delivery=DeliveryName(id=delivery.id, generation=delivery.generation),
        remarks=tuple(_remarks(message)),
    )


def body_name(message: MessageValues) -> str:
    """Return the name of the file with the letter's text."""
    return _BODY_NAMES.get(message.body_type, "body.txt")


def _handed_on(value: Mapping[str, Any]) -> dict[str, object]:
    """Return the sender's own JSON, cut to what every reader can be expected to parse."""
    found: dict[str, object] = storable(value, DEEPEST_HANDED_ON)
    return found


def _remarks(message: MessageValues) -> Iterator[str]:
    for name in ("properties", "references", "reply_options"):
        value = getattr(message, name)
        rows = value if isinstance(value, list) else [value]
        if any(is_deeper(each, DEEPEST_HANDED_ON) for each in rows):
            yield (
                f"{name}: what is nested deeper than {DEEPEST_HANDED_ON} levels is left out (null)"
            )


def _service_name(code: str) -> ServiceName:
    service = find_service(code)
    return ServiceName(
        code=code, slug=service.slug if service else "", name=service.names if service else {}
    )


def _body(message: MessageValues) -> Body:
    text = message.body.encode()
    return Body(
        name=body_name(message),
        media_type=message.body_type,
        size=len(text),
        sha256=hashlib.sha256(text).hexdigest(),
        deleted_at=message.body_deleted_at,
    )


def _file(attachment: AttachmentValues) -> File:
    return File(
        name=attachment.safe_name,
        original_name=attachment.original_name,
        display_name=attachment.display_name,
        media_type=attachment.media_type,
        state=attachment.state,
        encrypted=attachment.encrypted,
        size=attachment.size,
        sha256=attachment.sha256,
        sender_checksum=attachment.sender_checksum,
        deleted_at=attachment.deleted_at,
    )
