"""A parcel to test a destination: marked as a test in every part, and not a letter."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from daemon.core.document import letter_document
from daemon.core.model import (
    AttachmentValues,
    DecisionValues,
    DeliveryValues,
    MessageKind,
    MessageValues,
    delivery_id,
)
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel

TITLE = "TEST fra Postmottak, ikke et brev (a test from Postmottak, not a letter)"
_BODY = (
    "Dette er en test av mottaket. Det er ikke et brev, og kan slettes.\n\n"
    "This is a test of a destination. It is not a letter, and can be deleted.\n"
)
_NAME = "001-test.pdf"
_NOBODY = "000000000"


@dataclass(frozen=True)
class _Label:
    """What every part of a parcel says that it is."""

    kind: MessageKind
    name: str
    title: str
    body: str


_TEST = _Label(MessageKind.LETTER, "test", TITLE, _BODY)
_CANARY = _Label(
    MessageKind.CANARY,
    "canary",
    "KANARI fra Postmottak, ikke et brev (a canary from Postmottak, not a letter)",
    "Dette er ikke et brev. Postmottak sender det for å se at brev kommer fram, og det kan "
    "slettes.\n\n"
    "This is not a letter. Postmottak sends it to see that letters come through, and it can be "
    "deleted.\n",
)


def sample_parcel(destination: str, pdf: bytes, now: datetime) -> Parcel:
    """Return a parcel with one attachment, `pdf`; each has ids of its own, which no letter has."""
    return _parcel(_message(uuid4(), now, _TEST), destination, pdf)


def canary_parcel(canary: UUID, destination: str, pdf: bytes, begun_at: datetime) -> Parcel:
    """Return the parcel of a canary with this id; a repeat is the same parcel."""
    return _parcel(_message(canary, begun_at, _CANARY), destination, pdf)


def _parcel(values: MessageValues, destination: str, pdf: bytes) -> Parcel:
    message, now, delivery = values.id, values.fetched_at, delivery_id(values.id, destination, 1)
    sha256 = hashlib.sha256(pdf).hexdigest()
    document = letter_document(
        values,
        [_attachment(message, pdf, sha256)],
        unrouted(message, now, "(test)"),
        DeliveryValues(
            id=delivery,
            message_id=message,
            destination=destination,
            recipients=[],
            created_at=now,
            due_at=now,
        ),
    )
    part = ParcelPart(
        name=_NAME,
        media_type="application/pdf",
        size=len(pdf),
        sha256=sha256,
        open=partial(io.BytesIO, pdf),
    )
    return Parcel(
        delivery_id=delivery,
        generation=1,
        destination=destination,
        addressees=(),
        document=document,
        body=values.body.encode(),
        parts=(part,),
    )


def _message(message: UUID, now: datetime, words: _Label) -> MessageValues:
    return MessageValues(
        id=message,
        kind=words.kind,
        mailbox=words.name,
        external_id=words.name,
        party=_NOBODY,
        service=words.name,
        resource=words.name,
        title=words.title,
        body=words.body,
        sender_name=f"Postmottak ({words.name})",
        published_at=now,
        fetched_at=now,
    )


def _attachment(message: UUID, pdf: bytes, sha256: str) -> AttachmentValues:
    return AttachmentValues(
        external_id="test",
        original_name="test.pdf",
        media_type="application/pdf",
        message_id=message,
        position=1,
        safe_name=_NAME,
        size=len(pdf),
        sha256=sha256,
    )


def unrouted(message: UUID, now: datetime, route: str) -> DecisionValues:
    """Return the decision about what no routing table has routed; `route` says what it is."""
    return DecisionValues(
        message_id=message,
        number=1,
        decided_at=now,
        routing_version="",
        route=route,
        chosen=[],
        recipients=[],
        direct=[],
        why={},
    )
