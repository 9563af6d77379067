"""A letter as outside programs read it: `message.json`, a webhook's data, the pull API's letter.

The shape is versioned, its JSON Schema is docs/message.schema.json, and it never depends on when or
how often a delivery was tried: the same letter to the same destination gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
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


_SHA256 = "SHA-256 in lower-case hexadecimal"


class ServiceName(_Frozen):
    """The DPV service that the letter came through."""

    code: str = Field(description="Altinn 2's service code and edition, such as 4255/8")
    slug: str = Field(
        description="the service's short name, such as skatter-avgifter; empty if it is not one "
        "of DPV's"
    )
    name: dict[str, str] = Field(
        description="the service's name by language: nb, nn, en; empty if it is not one of DPV's"
    )


class Source(_Frozen):
    """Where the letter came from."""

    mailbox: str = Field(description="the mailbox's name in Postmottak's configuration")
    id: str = Field(
        description="the id of the letter in the mailbox; for Altinn 3 the correspondence id"
    )
    resource: str = Field(description="Altinn 3 resource")
    altinn2_id: int | None = Field(
        description="the id in Altinn 2, for a letter that was moved from there; otherwise null"
    )


class Sender(_Frozen):
    """Who wrote the letter, and who put it into Altinn for the writer."""

    organisation: str | None = Field(
        description="organisation number of the real sender; null if the mailbox does not say"
    )
    name: str = Field(
        description=(
            "the sender's name as the mailbox reports it, or as the configured company register "
            "has it; empty if neither does"
        )
    )
    technical_organisation: str | None = Field(
        description="organisation number of the technical sender; null if the mailbox does not say"
    )


class File(_Frozen):
    """One attachment.

    `name` is the file's name in the drop; files that are not present have neither size nor hash.
    """

    name: str = Field(
        description="the file's name in the drop and in the API's addresses: safe on any file "
        "system, and unique in the letter"
    )
    original_name: str = Field(description="the name as sent; never use it as a path")
    display_name: str = Field(
        description="what the sender calls the file; empty if it has no such name"
    )
    media_type: str = Field(description="the sender's media type, such as application/pdf")
    state: PartState = Field(
        description=(
            "present: the file is here. checksum_failed: it is here, and is not what the sender's "
            "checksum says. All others are not here. expired, purged, scan_failed: Altinn has it "
            "no more, or refused it. external: the sender keeps it elsewhere. unavailable: it may "
            "still come. deleted: retention deleted it"
        )
    )
    encrypted: bool = Field(description="whether the sender says that it encrypted the file")
    size: int | None = Field(description="bytes; null if the file is not here")
    sha256: str | None = Field(description=f"{_SHA256}; null if the file is not here")
    sender_checksum: str = Field(description="MD5 in hexadecimal, empty if the sender gave none")
    deleted_at: datetime | None = Field(
        default=None,
        description="when retention deleted the file; its state is deleted then. Otherwise null",
    )


class Body(_Frozen):
    """The letter's text."""

    name: str = Field(description="the file's name in the drop")
    media_type: str = Field(description="text/markdown or text/html")
    size: int = Field(description="bytes in UTF-8")
    sha256: str = Field(description=_SHA256)
    deleted_at: datetime | None = Field(
        default=None,
        description=(
            "when retention deleted the text and the summary; both are empty then. Otherwise null"
        ),
    )


class Routing(_Frozen):
    """Why the letter went where it went."""

    version: str = Field(description="SHA-256 of the routing table that decided")
    route: str = Field(
        description="the route's name; in brackets, the word for a decision without a route"
    )
    recipients: tuple[str, ...] = Field(
        description="names, in the routing table, of those for whom this copy is"
    )
    destination: str = Field(description="the destination's name in the configuration")


class DeliveryName(_Frozen):
    """The delivery that brought this copy; its id is the same in every repeat."""

    id: UUID = Field(
        description="the same in every repeat, so it tells one; the API's ack and reject name it"
    )
    generation: int = Field(
        description="1, and one more each time that the letter is sent there again: by an "
        "operator, or because attachments have come that were missing"
    )


class LetterDocument(_Frozen):
    """One letter, as handed to one destination."""

    schema_version: Literal[1] = Field(default=1, description="the version of this schema")
    kind: MessageKind = Field(
        description=(
            "letter, or notice: Postmottak's own message that a confidential letter waits in the "
            "mailbox"
        )
    )
    id: UUID = Field(
        description="the letter's id in Postmottak: the same at every destination and each time"
    )
    party: str = Field(description="organisation number of the recipient")
    party_name: str = Field(
        default="",
        # a letter without one has the same bytes as before names were recorded
        exclude_if=lambda name: not name,
        description="the recipient's name when the letter came; missing if it was not known",
    )
    service: ServiceName
    source: Source
    sender: Sender
    sender_reference: str = Field(description="the sender's reference; empty if it gave none")
    title: str = Field(description="the letter's title, as plain text")
    summary: str = Field(description="the letter's summary; empty if it has none")
    language: str = Field(description="nb, nn or en, as the sender says; empty if it does not")
    body: Body
    published_at: datetime = Field(description="when the letter was published in the mailbox")
    created_at: datetime | None = Field(
        description="when the sender created the letter; null if the mailbox does not say"
    )
    fetched_at: datetime = Field(description="when Postmottak fetched the letter")
    due_at: datetime | None = Field(
        description="the sender's deadline; null if the letter has none"
    )
    confidential: bool = Field(description="whether the letter is confidential post")
    confirmation_needed: bool = Field(
        description="whether the sender asks for a confirmation, which Postmottak gives if "
        "`confirm` is configured"
    )
    properties: dict[str, object] = Field(
        description="the sender's own names and values; empty if it gave none"
    )
    references: tuple[dict[str, object], ...] = Field(
        description="Altinn's external references of the letter, as Altinn has them"
    )
    reply_options: tuple[dict[str, object], ...] = Field(
        description="the sender's links for an answer, as Altinn has them"
    )
    files: tuple[File, ...] = Field(
        description="the attachments in the sender's order, also those that are not here"
    )
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
    # one validation of the whole, which costs half of one for each of its parts
    return LetterDocument.model_validate(
        {
            "kind": message.kind,
            "id": message.id,
            "party": message.party,
            "party_name": message.party_name,
            "service": _service_name(message.service),
            "source": {
                "mailbox": message.mailbox,
                "id": message.external_id,
                "resource": message.resource,
                "altinn2_id": message.altinn2_id,
            },
            "sender": {
                "organisation": message.sender_org,
                "name": message.sender_name,
                "technical_organisation": message.technical_sender,
            },
            "sender_reference": message.sender_reference,
            "title": message.title,
            "summary": message.summary,
            "language": message.language,
            "body": _body(message),
            "published_at": message.published_at,
            "created_at": message.created_at,
            "fetched_at": message.fetched_at,
            "due_at": message.due_at,
            "confidential": message.confidential,
            "confirmation_needed": message.confirmation_needed,
            "properties": _handed_on(message.properties),
            "references": tuple(map(_handed_on, message.references)),
            "reply_options": tuple(map(_handed_on, message.reply_options)),
            "files": tuple(map(_file, attachments)),
            "routing": {
                "version": decision.routing_version,
                "route": decision.route,
                "recipients": tuple(delivery.recipients),
                "destination": delivery.destination,
            },
            "delivery": {"id": delivery.id, "generation": delivery.generation},
            "remarks": tuple(_remarks(message)),
        }
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


@lru_cache(maxsize=256)
def _service_name(code: str) -> ServiceName:
    service = find_service(code)
    return ServiceName(
        code=code, slug=service.slug if service else "", name=service.names if service else {}
    )


def _body(message: MessageValues) -> dict[str, object]:
    text = message.body.encode()
    return {
        "name": body_name(message),
        "media_type": message.body_type,
        "size": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
        "deleted_at": message.body_deleted_at,
    }


def _file(attachment: AttachmentValues) -> dict[str, object]:
    return {
        "name": attachment.safe_name,
        "original_name": attachment.original_name,
        "display_name": attachment.display_name,
        "media_type": attachment.media_type,
        "state": attachment.state,
        "encrypted": attachment.encrypted,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "sender_checksum": attachment.sender_checksum,
        "deleted_at": attachment.deleted_at,
    }
