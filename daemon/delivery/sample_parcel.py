"""A parcel to test a destination: marked as a test in every part, and not a letter."""

from __future__ import annotations

import hashlib
import io
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from daemon.core.document import letter_document
from daemon.core.model import AttachmentValues, DecisionValues, DeliveryValues, MessageValues
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel

TITLE = "TEST fra Postmottak, ikke et brev (a test from Postmottak, not a letter)"
_BODY = (
    "Dette er en test av mottaket. Det er ikke et brev, og kan slettes.\n\n"
    "This is a test of a destination. It is not a letter, and can be deleted.\n"
)
_NAME = "001-test.pdf"
_NOBODY = "000000000"


def sample_parcel(destination: str, pdf: bytes, now: datetime) -> Parcel:
    """Return a parcel with one attachment, `pdf`; each has ids of its own, which no letter has."""
    message, delivery = uuid4(), uuid4()
    sha256 = hashlib.sha256(pdf).hexdigest()
    document = letter_document(
        _message(message, now),
        [_attachment(message, pdf, sha256)],
        _decision(message, now),
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
        body=_BODY.encode(),
        parts=(part,),
    )


def _message(message: UUID, now: datetime) -> MessageValues:
    return MessageValues(
        id=message,
        mailbox="test",
        external_id="test",
        party=_NOBODY,
        service="test",
        resource="test",
        title=TITLE,
        body=_BODY,
        sender_name="Postmottak (test)",
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


def _decision(message: UUID, now: datetime) -> DecisionValues:
    return DecisionValues(
        message_id=message,
        number=1,
        decided_at=now,
        routing_version="",
        route="(test)",
        chosen=[],
        recipients=[],
        direct=[],
        why={},
    )
