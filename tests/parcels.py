"""Parcels, made of real letters as the service makes them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from daemon.core.document import letter_document
from daemon.core.file_kinds import kind_of
from daemon.core.filenames import safe_name
from daemon.core.model import (
    Attachment,
    DecisionRow,
    Delivery,
    Message,
    PartState,
    delivery_id,
    message_id,
)
from daemon.core.parcels import Addressee, ParcelPart
from daemon.core.ports import Parcel

MOMENT = datetime(2026, 3, 12, 9, 46, 5, tzinfo=UTC)


def new_parcel(
    external_id: str = "letter-1",
    *,
    files: Mapping[str, bytes] | None = None,
    missing: Sequence[str] = (),
    destination: str = "erp",
    generation: int = 1,
    **fields: Any,
) -> Parcel:
    """A letter with these files, each by its name as sent, and these that are expired; other fields
    are the message's."""
    letter = message_id("altinn", external_id)
    delivery = Delivery(
        id=delivery_id(letter, destination, generation),
        message_id=letter,
        destination=destination,
        recipients=["regnskap"],
        generation=generation,
        created_at=MOMENT,
        due_at=MOMENT,
    )
    contents = {"Vedtak om mva.pdf": b"%PDF-1.7 vedtak"} if files is None else dict(files)
    attachments = [
        _attachment(letter, place, name, contents.get(name))
        for place, name in enumerate([*contents, *missing], start=1)
    ]
    message = _message(external_id, **fields)
    return Parcel(
        delivery_id=delivery.id,
        generation=generation,
        destination=destination,
        addressees=(Addressee(name="regnskap", title="Regnskapsavdelingen"),),
        document=letter_document(message, attachments, _decision(letter), delivery),
        body=message.body.encode(),
        parts=tuple(
            _part(attachment, data)
            for attachment, data in zip(attachments, contents.values(), strict=False)
        ),
    )


def _decision(letter: UUID) -> DecisionRow:
    return DecisionRow(
        message_id=letter,
        number=1,
        decided_at=MOMENT,
        routing_version="0" * 64,
        route="Skatt og avgift",
        chosen=["regnskap"],
        recipients=["regnskap"],
        direct=[],
        why={},
    )


def _message(external_id: str, **fields: Any) -> Message:
    known: dict[str, Any] = {
        "mailbox": "altinn",
        "external_id": external_id,
        "party": "991825827",
        "service": "4255/8",
        "resource": "eformidling-dpv-skatt",
        "title": "Vedtak om merverdiavgift",
        "body": "Vi har behandlet **saken** deres.\n\nHilsen Skatteetaten på Ås\n",
        "sender_org": "974761076",
        "sender_name": "Skatteetaten",
        "sender_reference": "2026/1234",
        "published_at": MOMENT,
        "fetched_at": MOMENT,
        "id": message_id("altinn", external_id),
    }
    return Message(**(known | fields))


def _attachment(letter: Any, place: int, name: str, data: bytes | None) -> Attachment:
    media_type = "application/pdf" if name.lower().endswith(".pdf") else "application/octet-stream"
    return Attachment(
        message_id=letter,
        position=place,
        external_id=f"part-{place}",
        original_name=name,
        safe_name=safe_name(name, media_type, place, "" if data is None else kind_of(data)),
        media_type=media_type,
        state=PartState.EXPIRED if data is None else PartState.PRESENT,
        size=None if data is None else len(data),
        sha256=None if data is None else hashlib.sha256(data).hexdigest(),
    )


def _part(attachment: Attachment, data: bytes) -> ParcelPart:
    return ParcelPart(
        name=attachment.safe_name,
        media_type=attachment.media_type,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        open=partial(io.BytesIO, data),
    )
