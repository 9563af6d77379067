"""A letter as a CloudEvent 1.0 in structured JSON mode, with links to its text and attachments.

The event's id is the delivery's, so it is unique at its source and the same in every repeat.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from daemon.core.model import KEPT_STATES, MessageKind
from daemon.core.ports import Notification, Parcel

EVENT_TYPE = "no.postmottak.letter.v1"
"""The version is that of the data: LetterDocument's `schema_version`."""

ALERT_TYPE = "no.postmottak.alert.v1"

TEST_TYPE = "no.postmottak.test.v1"
"""What `postmottak destinations test` posts; its data is shaped like a letter."""

CANARY_TYPE = "no.postmottak.canary.v1"
"""What `postmottak canary` posts; its data is shaped like a letter, with the kind `canary`."""


def cloud_event(parcel: Parcel, link_base: str = "") -> dict[str, Any]:
    """Return the letter's event.

    With `link_base`, the address of Postmottak's own API, the data also has the member `links`.
    """
    data = parcel.document.model_dump(mode="json")
    if link_base:
        data["links"] = links(parcel, link_base)
    return {
        "specversion": "1.0",
        "id": str(parcel.delivery_id),
        "source": f"urn:postmottak:mailbox:{quote(parcel.document.source.mailbox, safe='')}",
        "type": EVENT_TYPE,
        "subject": str(parcel.document.id),
        "time": data["fetched_at"],
        "datacontenttype": "application/json",
        "data": data,
    }


def sample_event(sample: Parcel) -> dict[str, Any]:
    """An event that is like a letter's, and says in its type that it is none."""
    name = "canary" if sample.document.kind is MessageKind.CANARY else "test"
    kind = {"canary": CANARY_TYPE, "test": TEST_TYPE}[name]
    return {**cloud_event(sample), "type": kind, "source": f"urn:postmottak:{name}"}


def alert_event(notification: Notification) -> dict[str, Any]:
    """Return an alert, or its end, as an event."""
    return {
        "specversion": "1.0",
        "id": str(notification.id),
        "source": "urn:postmottak:alerts",
        "type": ALERT_TYPE,
        "subject": notification.kind,
        "time": notification.at.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "kind": notification.kind,
            "ended": notification.ended,
            "critical": notification.critical,
            "text": notification.text,
        },
    }


def links(parcel: Parcel, base: str) -> dict[str, Any]:
    """Return the links to the letter, its text and its stored attachments, and for answering.

    The letter's names the destination: a letter at another one has another delivery to answer.
    """
    message = f"{base}/api/v1/messages/{parcel.document.id}"
    delivery = f"{base}/api/v1/deliveries/{parcel.delivery_id}"
    names = [file.name for file in parcel.document.files if file.state in KEPT_STATES]
    return {
        "message": f"{message}?destination={quote(parcel.destination, safe='')}",
        "body": f"{message}/body",
        "attachments": {name: f"{message}/attachments/{quote(name, safe='')}" for name in names},
        "ack": f"{delivery}/ack",
        "reject": f"{delivery}/reject",
    }
