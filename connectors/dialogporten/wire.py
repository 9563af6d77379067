"""Dialogporten's JSON as values. Null properties are left out there, and times end with Z.

Source: Altinn/dialogporten, swagger.verified.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.net.http_response import json_object
from daemon.core.outside_values import is_storable, text_from, time_from

_PARTY = "urn:altinn:organization:identifier-no:"
_RESOURCE = "urn:altinn:resource:"
_LETTER = "urn:altinn:correspondence-id:"
MIRROR = "correspondenceservice"
"""The type of resource whose dialogs mirror letters of Correspondence."""
OWN_FORM = "altinnapp"
"""The type of resource whose dialogs are the party's own forms."""
_LANGUAGES = ("nb", "nn", "no", "en")


@dataclass(frozen=True, kw_only=True)
class Dialog:
    """A dialog as a search lists it, which leaves no trace."""

    id: str
    party: str
    """The organisation's number."""
    resource: str
    """Without its URN."""
    resource_type: str
    """In lower case."""
    org: str
    """The owner's code, such as `nav`."""
    created_at: datetime
    content_updated_at: datetime
    due_at: datetime | None = None
    status: str = ""
    title: str = ""
    """Empty where the owner shows none to a list."""
    summary: str = ""
    sender_name: str = ""
    external_reference: str = ""
    gui_attachments: int = 0
    from_owner: int = 0
    """The number of transmissions from the owner."""

    @property
    def is_mirror(self) -> bool:
        """Whether it mirrors a letter of Correspondence."""
        return self.resource_type == MIRROR


@dataclass(frozen=True, kw_only=True)
class DialogPage:
    """One page of a search."""

    dialogs: tuple[Dialog, ...]
    odd: int
    """How many items could not be read."""
    more: bool
    token: str


def page_from(body: bytes) -> DialogPage:
    """Return a page. Raises ValueError if there is none.

    An item that makes no sense is counted, and stops no other.
    """
    document = json_object(body)
    items = document.get("items")
    if not isinstance(items, list):
        # nonsense from outside is a bad value
        raise ValueError("no list of dialogs")  # noqa: TRY004
    found = [_dialog(each) for each in items]
    dialogs = tuple(each for each in found if each)
    return DialogPage(
        dialogs=dialogs,
        odd=len(found) - len(dialogs),
        more=document.get("hasNextPage") is True,
        token=text_from(document.get("continuationToken") or ""),
    )


def _dialog(item: Any) -> Dialog | None:
    if not isinstance(item, dict):
        return None
    party, dialog_id = text_from(item.get("party")), item.get("id")
    created, changed = time_from(item.get("createdAt")), time_from(item.get("contentUpdatedAt"))
    is_known = isinstance(dialog_id, str) and dialog_id and is_storable(dialog_id)
    if not is_known or not party.startswith(_PARTY) or created is None or changed is None:
        return None
    content = item.get("content")
    content = content if isinstance(content, dict) else {}
    return Dialog(
        id=str(dialog_id),
        party=party.removeprefix(_PARTY),
        resource=text_from(item.get("serviceResource")).removeprefix(_RESOURCE),
        resource_type=text_from(item.get("serviceResourceType")).lower(),
        org=text_from(item.get("org")),
        created_at=created,
        content_updated_at=changed,
        due_at=time_from(item.get("dueAt")),
        status=_said(item.get("status")),
        title=content_text(content.get("title")),
        summary=content_text(content.get("summary")),
        sender_name=content_text(content.get("senderName")),
        external_reference=_said(item.get("externalReference")),
        gui_attachments=_count(item.get("guiAttachmentCount")),
        from_owner=_count(item.get("fromServiceOwnerTransmissionsCount")),
    )


def _said(value: Any) -> str:
    return text_from(value) if value is not None else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def content_text(content: Any) -> str:
    """Return the text of a content value, in Norwegian if it has that; empty without one."""
    return best_language(content.get("value")) if isinstance(content, dict) else ""


def best_language(texts: Any) -> str:
    """Return one of several texts, in Norwegian if it is among them."""
    pairs = [each for each in texts if isinstance(each, dict)] if isinstance(texts, list) else []
    by_language = {_said(each.get("languageCode")): _said(each.get("value")) for each in pairs}
    wanted = (by_language[each] for each in _LANGUAGES if by_language.get(each))
    return next(wanted, next(iter(by_language.values()), ""))


def letter_in(body: bytes) -> str:
    """Return the id of the letter of Correspondence that a lookup leads to, or an empty text.

    Raises ValueError.
    """
    reference = json_object(body).get("instanceRef")
    if not isinstance(reference, str):
        # nonsense from outside is a bad value
        raise ValueError("no instance")  # noqa: TRY004
    return reference.removeprefix(_LETTER) if reference.startswith(_LETTER) else ""


def most_parties_in(body: bytes) -> int:
    """Return how many parties a search may name. Raises ValueError."""
    limits = json_object(body).get("endUserSearch")
    most = limits.get("maxPartyFilterValues") if isinstance(limits, dict) else None
    if not isinstance(most, int) or most < 1:
        raise ValueError("no limits")
    return most


@dataclass(frozen=True, kw_only=True)
class FoundParty:
    """An organisation that the system user may act for."""

    number: str
    name: str
    is_deleted: bool


def parties_in(body: bytes) -> tuple[FoundParty, ...]:
    """Return the organisations of the tree, each once. Raises ValueError."""
    roots = json_object(body).get("authorizedParties")
    if not isinstance(roots, list):
        # nonsense from outside is a bad value
        raise ValueError("no list of parties")  # noqa: TRY004
    found: dict[str, FoundParty] = {}
    left: list[Any] = list(reversed(roots))
    while left:
        each = left.pop()
        if not isinstance(each, dict):
            continue
        left.extend(reversed(_list(each.get("subParties"))))
        party = text_from(each.get("party"))
        if party.startswith(_PARTY) and each.get("hasOnlyAccessToSubParties") is not True:
            number = party.removeprefix(_PARTY)
            found.setdefault(
                number,
                FoundParty(
                    number=number,
                    name=_said(each.get("name")),
                    is_deleted=each.get("isDeleted") is True,
                ),
            )
    return tuple(found.values())


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def party_urn(number: str) -> str:
    """Return an organisation's number as the platform writes it."""
    return f"{_PARTY}{number}"
