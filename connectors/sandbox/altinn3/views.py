"""Letters as Correspondence's JSON: nulls written, enums as words, times with their offset.

Formats: COR API/Models/*.cs and API/Mappers/*.cs.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from connectors.sandbox.altinn3.records import AttachmentRecord, Record, StatusRow
from connectors.sandbox.clock import written, written_in_ticks
from connectors.sandbox.letters import RIGHT, urn
from daemon.core.times import shifted

_MANY_REPLIES = 3
_REPLY_HEADINGS = {"en": "Reply options:", "nn": "Svarval:"}
_UNKNOWN_TYPE = "binary_octet_stream"

_MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".ppt": "application/vnd.ms-powerpoint",
}
_DOWNLOADED_AS_OCTETS = {".zip", ".doc", ".docx", ".xls", ".xlsx", ".ppt"}
_SHOWN_INLINE = {".pdf", ".png", ".jpg", ".jpeg", ".gif", ".bmp"}


def overview(record: Record, *, with_replies_in_body: bool = True) -> dict[str, Any]:
    """Return the overview. More than three reply options are repeated at the end of the body."""
    letter = record.letter
    shown = record.highest
    document: dict[str, Any] = {
        "recipient": urn(letter.party),
        "correspondenceId": record.id,
        "content": _content(record, with_replies_in_body=with_replies_in_body),
        "created": written_in_ticks(record.created_at),
        "status": shown.status.name,
        "statusText": shown.text,
        "statusChanged": written(shown.at),
        "notifications": [{"notificationOrderId": record.notification_id, "isReminder": False}],
        "altinn2CorrespondenceId": letter.altinn2_id,
        "published": written(record.published_at),
        "read": written(record.read_at),
        "resourceId": letter.resource,
        "sender": letter.sender,
        "sendersReference": letter.senders_reference,
        "messageSender": letter.message_sender,
        "requestedPublishTime": written(record.requested_at),
        "dueDateTime": written(shifted(record.requested_at, letter.due_after))
        if letter.due_after
        else None,
        "externalReferences": [
            {"referenceValue": value, "referenceType": kind} for kind, value in record.references
        ],
        "propertyList": _properties(record),
        "replyOptions": [
            {"linkURL": link, "linkText": text} for link, text in letter.reply_options
        ],
        "notification": None,
        "ignoreReservation": False,
        "isConfirmationNeeded": letter.confirmation_needed,
        "isConfidential": letter.is_confidential,
        "allowForwarding": False,
    }
    content: dict[str, Any] = document["content"]
    own = {name: value for name, value in letter.overrides.items() if name not in content}
    return {
        **document,
        "content": {
            **content,
            **{name: value for name, value in letter.overrides.items() if name in content},
        },
        **own,
    }


def details(record: Record) -> dict[str, Any]:
    """Return the details: the overview, the plain body, the history and full notifications."""
    return {
        **overview(record, with_replies_in_body=False),
        "notifications": [_notification(record)],
        "statusHistory": [_history_row(row) for row in record.history],
        "systemLabel": "Default",
    }


def _properties(record: Record) -> dict[str, str]:
    sender = record.letter.sender_org
    return {**({"senderOrgNumber": sender} if sender else {}), **record.letter.properties}


def _content(record: Record, *, with_replies_in_body: bool) -> dict[str, Any]:
    letter = record.letter
    body = letter.body
    if with_replies_in_body and len(letter.reply_options) > _MANY_REPLIES:
        heading = _REPLY_HEADINGS.get(letter.language, "Svarvalg:")
        body = "\n".join(
            [
                f"{body}\n",
                heading,
                *(f"{text or ''}: {link}" for link, text in letter.reply_options),
            ]
        )
    return {
        "attachments": [_attachment(part) for part in record.attachments],
        "language": letter.language,
        "messageTitle": letter.title,
        "messageSummary": letter.summary,
        "messageBody": body,
    }


def _attachment(part: AttachmentRecord) -> dict[str, Any]:
    attachment = part.attachment
    document = {
        "created": written_in_ticks(part.created_at),
        "dataLocationType": attachment.data_location_type,
        "status": part.status.value,
        "statusText": "The attachment has expired"
        if part.status == "Expired"
        else part.status.value,
        "statusChanged": written(part.status_at),
        "dataType": attachment.data_type
        or _MEDIA_TYPES.get(_extension(attachment.name), _UNKNOWN_TYPE),
        "expirationTime": written(attachment.expires_at),
        "id": part.id,
        "fileName": attachment.name,
        "displayName": attachment.display_name,
        "isEncrypted": attachment.encrypted,
        "checksum": attachment.md5() if attachment.checksum == RIGHT else attachment.checksum,
        "sendersReference": attachment.senders_reference,
        "expirationInDays": None,
    }
    return {**document, **attachment.overrides}


def _notification(record: Record) -> dict[str, Any]:
    at = written(record.published_at)
    return {
        "id": record.notification_id,
        "sendersReference": None,
        "creator": "digdir",
        "created": at,
        "isReminder": False,
        "notificationChannel": "EmailPreferred",
        "ignoreReservation": True,
        "resourceId": record.letter.resource,
        "processingStatus": {
            "status": "Completed",
            "description": "Order processing is completed",
            "lastUpdate": at,
        },
        "notificationStatusDetails": {"email": None, "sms": None, "emails": [], "smses": []},
    }


def _history_row(row: StatusRow) -> dict[str, Any]:
    return {"status": row.status.name, "statusText": row.text, "statusChanged": written(row.at)}


def download_headers(name: str) -> tuple[tuple[str, str], ...]:
    """Return Content-Type and Content-Disposition of a download.

    Source: COR API/Helpers/FileDownloadResponseHelper.cs.
    """
    extension = _extension(name)
    # As .NET does it: everything but letters, digits and a few marks is percent-encoded.
    starred = f"filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
    disposition = (
        f"inline; {starred}"
        if extension in _SHOWN_INLINE
        else f"attachment; filename={_plain(name)}; {starred}"
    )
    return (("Content-Type", _download_type(extension)), ("Content-Disposition", disposition))


def _download_type(extension: str) -> str:
    if extension in {".dcm", ".dicom"}:
        return "application/dicom"
    media_type = _MEDIA_TYPES.get(extension)
    if not media_type or extension in _DOWNLOADED_AS_OCTETS:
        return "application/octet-stream"
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def _plain(name: str) -> str:
    """Return the fallback name: what is not printable ASCII becomes an underscore.

    Quoted if it is more than one token.
    """
    text = "".join(
        character if " " <= character <= "~" and character not in '"\\' else "_"
        for character in name
    )
    return (
        text
        if text and all(character.isalnum() or character in "!#$%&'*+-.^_`|~" for character in text)
        else f'"{text}"'
    )


def _extension(name: str) -> str:
    return PurePosixPath(f"x{name}").suffix.lower()
