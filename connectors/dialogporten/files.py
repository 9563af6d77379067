"""Transmissions and attachments in Dialogporten's JSON.

Source: Altinn/dialogporten, swagger.verified.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.dialogporten.wire import best_language, content_text
from connectors.net.http_response import json_object
from daemon.core.outside_values import is_storable, json_from, text_from, time_from

EXPIRED = "urn:dialogporten:expired"
UNAUTHORIZED = "urn:dialogporten:unauthorized"
HAS_EXPIRED = "its address has expired"
"""Why a file is unavailable if its owner no longer shows its address."""
_CORRESPONDENCE = "/correspondence/api/v1/correspondence/"


@dataclass(frozen=True, kw_only=True)
class FileAddress:
    """An address of an attachment."""

    url: str
    media_type: str
    for_people: bool
    """Meant for a browser, where a log-in comes before it."""


@dataclass(frozen=True, kw_only=True)
class DialogFile:
    """An attachment."""

    id: str
    name: str
    expires_at: datetime | None
    authorized: bool
    addresses: tuple[FileAddress, ...]


@dataclass(frozen=True, kw_only=True)
class Transmission:
    """A letter within a dialog."""

    id: str
    created_at: datetime
    type: str
    from_party: bool
    title: str
    summary: str
    files: tuple[DialogFile, ...]
    is_correspondence: bool
    """It is a letter of Correspondence too, which is read there."""


def transmissions_in(body: bytes) -> tuple[Transmission, ...]:
    """Return the transmissions of a list. Raises ValueError."""
    items = json_from(body)
    if not isinstance(items, list):
        # nonsense from outside is a bad value
        raise ValueError("no list of transmissions")  # noqa: TRY004
    return tuple(_transmissions(items))


def files_in(body: bytes) -> tuple[DialogFile, ...]:
    """Return the attachments of a dialog itself. Raises ValueError."""
    return _files(json_object(body))


def _transmissions(items: list[Any]) -> Iterator[Transmission]:
    for each in items:
        if not isinstance(each, dict):
            continue
        key, created = each.get("id"), time_from(each.get("createdAt"))
        if not isinstance(key, str) or not key or not is_storable(key) or created is None:
            continue
        content, sender = _object(each.get("content")), _object(each.get("sender"))
        files = _files(each)
        reference = content_text(content.get("contentReference"))
        addresses = [reference, *(address.url for file in files for address in file.addresses)]
        yield Transmission(
            id=key,
            created_at=created,
            type=text_from(each.get("type") or ""),
            from_party=sender.get("actorType") == "PartyRepresentative",
            title=content_text(content.get("title")),
            summary=content_text(content.get("summary")),
            files=files,
            is_correspondence=any(_CORRESPONDENCE in address for address in addresses),
        )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _files(holder: dict[str, Any]) -> tuple[DialogFile, ...]:
    """Return the attachments, those included of which only a stub is shown: they are withheld."""
    stubs = [each | {"isAuthorized": False} for each in _objects(holder.get("excludedAttachments"))]
    found = (*_objects(holder.get("attachments")), *stubs)
    return tuple(_file(each) for each in found if isinstance(each.get("id"), str))


def _objects(items: Any) -> list[dict[str, Any]]:
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def _file(item: dict[str, Any]) -> DialogFile:
    return DialogFile(
        id=text_from(item["id"]),
        name=text_from(item.get("name") or "") or best_language(item.get("displayName")),
        expires_at=time_from(item.get("expiresAt")),
        authorized=item.get("isAuthorized") is not False,
        addresses=tuple(
            FileAddress(
                url=text_from(each.get("url") or ""),
                media_type=text_from(each.get("mediaType") or ""),
                for_people=each.get("consumerType") != "Api",
            )
            for each in _objects(item.get("urls"))
        ),
    )
