"""The JSON of the simulated Dialogporten: null properties are left out, times end with Z.

Sources: Altinn/dialogporten, WebApi/Program.cs (WhenWritingNull) and
…/EndUser/Dialogs/Queries/Search, …/Get, …/EndUser/DialogTransmissions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from connectors.sandbox.altinn3.dialog_records import DialogRecord, TransmissionRecord
from connectors.sandbox.dialogs import EXPIRED, UNAUTHORIZED, DialogFile
from connectors.sandbox.letters import urn

_EMBED = "application/vnd.dialogporten.frontchannelembed+json;type=markdown"
_RESOURCE = "urn:altinn:resource:"


def written_utc(moment: datetime) -> str:
    """Return a time with seven decimals and Z."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{text}0Z"


def item(record: DialogRecord) -> dict[str, Any]:
    """Return the dialog as a search lists it."""
    dialog = record.dialog
    from_owner = sum(each.sent.sender == "ServiceOwner" for each in record.transmissions)
    listed = {
        "id": record.id,
        "org": dialog.org,
        "serviceResource": f"{_RESOURCE}{dialog.resource}",
        "serviceResourceType": dialog.resource_type,
        "party": urn(dialog.party),
        "guiAttachmentCount": _gui_count(dialog.files),
        "externalReference": dialog.external_reference,
        "createdAt": written_utc(record.created_at),
        "updatedAt": written_utc(record.updated_at),
        "contentUpdatedAt": written_utc(record.content_updated_at),
        "dueAt": written_utc(dialog.due_at) if dialog.due_at else None,
        "status": dialog.status,
        "hasUnopenedContent": not record.seen,
        "systemLabel": dialog.labels[0],
        "isApiOnly": dialog.api_only,
        "fromServiceOwnerTransmissionsCount": from_owner,
        "fromPartyTransmissionsCount": len(record.transmissions) - from_owner,
        "seenSinceLastUpdate": [{"seenBy": each.by} for each in record.seen],
        "seenSinceLastContentUpdate": [{"seenBy": each.by} for each in record.seen],
        "isContentSeen": bool(record.seen),
        "endUserContext": {"revision": record.revision, "systemLabels": list(dialog.labels)},
        "content": None if dialog.api_only else _content(record),
    }
    return _present(listed)


def whole(record: DialogRecord, now: datetime) -> dict[str, Any]:
    """Return the dialog as GET of it does."""
    shown = [each for each in record.transmissions if not each.sent.withheld]
    withheld = [
        {"id": each.id, "createdAt": written_utc(each.created_at)}
        for each in record.transmissions
        if each.sent.withheld
    ]
    return item(record) | _present(
        {
            "revision": record.revision,
            "expiresAt": (
                written_utc(record.dialog.expires_at) if record.dialog.expires_at else None
            ),
            **_attachments(record.dialog.files, record.id, record.created_at, now),
            "transmissions": [transmission(each, now) for each in shown],
            "excludedTransmissions": withheld or None,
            "guiActions": [],
            "apiActions": [],
            "activities": [],
            "dialogToken": "header.claims.signature",
        }
    )


def transmission(record: TransmissionRecord, now: datetime) -> dict[str, Any]:
    """Return one transmission, as its list and its own address do."""
    sent, reference = record.sent, record.sent.content_reference
    content = {
        "title": _texts(sent.title),
        "summary": _texts(sent.summary) if sent.summary else None,
        "contentReference": _texts(reference, _EMBED) if reference else None,
    }
    return {
        "id": record.id,
        "createdAt": written_utc(record.created_at),
        "isAuthorized": True,
        "type": sent.type,
        "sender": {"actorType": sent.sender},
        "content": _present(content),
        **_attachments(sent.files, record.id, record.created_at, now),
        "navigationalActions": [],
    }


def _content(record: DialogRecord) -> dict[str, Any]:
    dialog = record.dialog
    return _present(
        {
            "title": _texts(dialog.title),
            "summary": _texts(dialog.summary) if dialog.summary else None,
            "senderName": _texts(dialog.sender_name) if dialog.sender_name else None,
        }
    )


def _texts(text: str, media_type: str = "text/plain") -> dict[str, Any]:
    return {"value": [{"value": text, "languageCode": "nb"}], "mediaType": media_type}


def _attachments(
    files: Sequence[DialogFile], within: str, created_at: datetime, now: datetime
) -> dict[str, Any]:
    """Return what is shown, and stubs of what is withheld, if there are any."""
    shown = [_file(each, within, now) for each in files if not each.withheld]
    stubs = [
        {"id": _file_id(each, within), "createdAt": written_utc(created_at)}
        for each in files
        if each.withheld
    ]
    return {"attachments": shown} | ({"excludedAttachments": stubs} if stubs else {})


def _file_id(file: DialogFile, within: str) -> str:
    return _id(within, file.display_name, *(each.url for each in file.addresses))


def _file(file: DialogFile, within: str, now: datetime) -> dict[str, Any]:
    has_expired = file.expires_at is not None and file.expires_at <= now
    masked = EXPIRED if has_expired else UNAUTHORIZED if not file.authorized else ""
    urls = [
        {
            "id": _id(within, file.display_name, each.url),
            "url": masked or each.url,
            "mediaType": each.media_type,
            "consumerType": each.consumer,
        }
        for each in file.addresses
    ]
    return _present(
        {
            "id": _file_id(file, within),
            "displayName": [{"value": file.display_name, "languageCode": "nb"}],
            "name": file.name,
            "urls": [_present(each) for each in urls],
            "expiresAt": written_utc(file.expires_at) if file.expires_at else None,
            "isAuthorized": file.authorized,
        }
    )


def _id(*parts: str) -> str:
    return str(uuid5(NAMESPACE_URL, " ".join(parts)))


def _gui_count(files: tuple[DialogFile, ...]) -> int:
    return sum(any(each.consumer == "Gui" for each in file.addresses) for file in files)


def _present(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
