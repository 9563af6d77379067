"""The dialogs that a test adds to the simulated Dialogporten: letters that an agency keeps itself.

Names and values are those of Altinn/dialogporten, swagger.verified.json.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EXPIRED = "urn:dialogporten:expired"
"""What an address is replaced by when its attachment has expired."""
UNAUTHORIZED = "urn:dialogporten:unauthorized"
"""What an address is replaced by for a caller who may not use it."""


@dataclass(frozen=True, kw_only=True)
class PretendAddress:
    """One address of an attachment."""

    url: str
    media_type: str | None = "application/pdf"
    consumer: Literal["Gui", "Api"] = "Api"


@dataclass(frozen=True, kw_only=True)
class DialogFile:
    """One attachment of a dialog or of a transmission."""

    addresses: tuple[PretendAddress, ...] = ()
    display_name: str = "Vedtak"
    name: str | None = None
    expires_at: datetime | None = None
    authorized: bool = True
    """If false, its addresses are masked for every caller."""
    withheld: bool = False
    """The owner keeps it from every system user: a stub is all that is shown of it."""


@dataclass(frozen=True, kw_only=True)
class PretendTransmission:
    """One letter within a dialog. Without `created_at`, it is created when it is added."""

    title: str = "Vedtak"
    summary: str | None = None
    type: str = "Information"
    sender: Literal["ServiceOwner", "PartyRepresentative"] = "ServiceOwner"
    files: tuple[DialogFile, ...] = ()
    content_reference: str | None = None
    created_at: datetime | None = None
    withheld: bool = False
    """The owner keeps it from every system user."""
    id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PretendDialog:
    """One dialog of `party` under `resource`.

    Times that are None become now, or the time from which it is visible.
    """

    party: str
    resource: str = "nav_eksempel_dialog"
    resource_type: str = "genericaccessresource"
    org: str = "nav"
    title: str = "Sak om ansatt"
    summary: str | None = None
    sender_name: str | None = None
    status: str = "NotApplicable"
    due_at: datetime | None = None
    created_at: datetime | None = None
    """The owner may date a dialog back."""
    visible_from: datetime | None = None
    expires_at: datetime | None = None
    external_reference: str | None = None
    api_only: bool = False
    """Its `content` is left out of the search."""
    files: tuple[DialogFile, ...] = ()
    transmissions: tuple[PretendTransmission, ...] = ()
    correspondence: str | None = None
    """The letter of Correspondence that it mirrors."""
    labels: tuple[str, ...] = field(default=("Default",))
    id: str | None = None
