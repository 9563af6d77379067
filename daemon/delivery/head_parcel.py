"""A parcel with the signed head of the journal: a small file, and no letter."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID, uuid5

from daemon.core.callbacks import do_nothing
from daemon.core.document import letter_document
from daemon.core.model import AttachmentValues, DeliveryValues, MessageValues
from daemon.core.parcels import ParcelPart
from daemon.core.ports import Parcel
from daemon.delivery.sample_parcel import unrouted
from daemon.store.journal.heads import Head

_NAMESPACE = UUID("0d7f0f55-3d0b-5f0e-9a55-6c2f5f1b7a10")
_TYPE = "application/json"
_BODY = """\
Hodet på Postmottaks journal. Ta vare på filen; `postmottak journal verify --head FIL` sammenligner.

The head of Postmottak's journal. Keep the file; `postmottak journal verify --head FILE` compares.
"""


def head_parcel(
    destination: str, head: Head, now: datetime, beat: Callable[[], None] = do_nothing
) -> Parcel:
    """Return the parcel. The same head has the same ids, so a repeat is recognised as one."""
    content, message = head.text().encode(), uuid5(_NAMESPACE, head.hash)
    name = f"journal-head-{head.sequence}.json"
    sha256 = hashlib.sha256(content).hexdigest()
    delivery = DeliveryValues(
        id=uuid5(message, destination),
        message_id=message,
        destination=destination,
        recipients=[],
        created_at=now,
        due_at=now,
    )
    attachment = AttachmentValues(
        external_id="journal",
        original_name=name,
        media_type=_TYPE,
        message_id=message,
        position=1,
        safe_name=f"001-{name}",
        size=len(content),
        sha256=sha256,
    )
    part = ParcelPart(
        name=attachment.safe_name,
        media_type=_TYPE,
        size=len(content),
        sha256=sha256,
        open=partial(io.BytesIO, content),
    )
    return Parcel(
        delivery_id=delivery.id,
        generation=1,
        destination=destination,
        addressees=(),
        document=letter_document(
            _message(message, head, now),
            [attachment],
            unrouted(message, now, "(journal)"),
            delivery,
        ),
        body=_BODY.encode(),
        parts=(part,),
        beat=beat,
    )


def _message(message: UUID, head: Head, now: datetime) -> MessageValues:
    return MessageValues(
        id=message,
        mailbox="journal",
        external_id=str(head.sequence),
        party="000000000",
        service="journal",
        resource="journal",
        title=f"Postmottak: journal, row {head.sequence}",
        body=_BODY,
        sender_name="Postmottak",
        published_at=now,
        fetched_at=now,
    )
