"""What the tests of mail share: a destination that mails to a server of the test's, and a reader
for what arrives."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

from connectors.destinations.smtp import Mail, Settings
from daemon.core.errors import DeliveryFailure, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Parcel

MakeParcel = Callable[..., Parcel]
TWO = ("regnskap@example.no", "post@example.no")


def mail_to(server: Any, **settings: Any) -> Mail:
    """Mail by that server, to two recipients unless the settings say otherwise."""
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "sender": "postmottak@example.no",
        "recipients": TWO,
    }
    return Mail("regnskap-epost", Settings(**(known | settings)))


def parsed(mail: bytes) -> EmailMessage:
    """The mail, in which Python's own parser finds nothing wrong."""
    found = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    assert not any(part.defects for part in found.walk())
    return found


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The mail's text, plain or html."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def attempt(destination: Mail, parcel: Parcel) -> tuple[Receipt | DeliveryFailure, Parcel]:
    """One attempt as the service makes it: how it ended, and the parcel as it comes the next
    time."""
    try:
        return destination.deliver(parcel), parcel
    except TemporaryFailure as failure:
        return failure, parcel if failure.progress is None else replace(
            parcel, progress=failure.progress
        )
    except DeliveryFailure as failure:
        return failure, parcel
