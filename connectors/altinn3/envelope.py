"""Turn Altinn's overview of a letter into an Envelope and its Parts.

Pure; tolerant of everything but invalid data.

Fields: Altinn/altinn-correspondence `CorrespondenceOverviewMapper.cs` and
`CorrespondenceAttachmentMapper.cs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from daemon.core.dpv import CONFIDENTIAL_POST, find_service
from daemon.core.model import Envelope, Letter, LetterRef, Part, PartState
from daemon.core.organisation import organisation_number
from daemon.core.outside_values import identifier_from, is_said, storable, text_from, time_from

_FLAGS = ("isConfidential", "isConfirmationNeeded")
_RESOURCE = "urn:altinn:resource:"
_BLOCK = re.compile(
    r"<(?:!doctype|html|head|body|div|p|table|tr|td|ul|ol|li|h[1-6]|section|article|header|footer"
    r"|blockquote|pre|hr|center|form)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_UNTYPED = "application/octet-stream"
_TYPES = MappingProxyType({
    "bmp": "image/bmp",
    "csv": "text/csv",
    "dcm": "application/dicom",
    "dicom": "application/dicom",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "pps": "application/vnd.ms-powerpoint",
    "ppt": "application/vnd.ms-powerpoint",
    "txt": "text/plain",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "zip": "application/zip",
})  # fmt: skip  # one line for each of the file types that Altinn takes
_STATES = MappingProxyType({
    "Purged": PartState.PURGED,
    "Expired": PartState.EXPIRED,
    "Failed": PartState.SCAN_FAILED,
    "Initialized": PartState.UNAVAILABLE,
    "UploadProcessing": PartState.UNAVAILABLE,
})  # fmt: skip  # one line for each


def letter_from(overview: Mapping[str, Any], ref: LetterRef, now: datetime) -> Letter:
    """Make the letter that `ref` names from `overview`.

    A letter without any time is taken to be published `now`.

    Raises ValueError, which quotes nothing, if it is not an overview of that letter.
    """
    if str(overview.get("correspondenceId", "")).lower() != ref.external_id.lower():
        raise ValueError("it describes another letter, or none")
    content = overview.get("content")
    if not isinstance(content, dict):
        # nonsense from outside is a bad value
        raise ValueError("it has no content")  # noqa: TRY004
    parts = tuple(_part(each) for each in _dicts(content.get("attachments")))
    return Letter(envelope=_envelope(overview, content, ref, now), parts=parts)


def odd_flags(overview: Mapping[str, Any]) -> list[str]:
    """Return the names of flags that are neither true, false nor missing, against the contract."""
    return [
        name for name in _FLAGS if is_said(overview.get(name)) and overview.get(name) is not True
    ]


def _envelope(
    overview: Mapping[str, Any], content: Mapping[str, Any], ref: LetterRef, now: datetime
) -> Envelope:
    body, properties = text_from(content.get("messageBody")), storable(overview.get("propertyList"))
    properties = properties if isinstance(properties, dict) else {}
    technical_sender = organisation_number(text_from(overview.get("sender")))
    return Envelope(
        mailbox=ref.mailbox,
        external_id=ref.external_id,
        party=ref.party,
        service=ref.service,
        resource=ref.resource,
        title=text_from(content.get("messageTitle")),
        summary=text_from(content.get("messageSummary")),
        body=body,
        body_type=body_type(body),
        language=text_from(content.get("language")),
        sender_org=organisation_number(text_from(properties.get("senderOrgNumber")))
        or technical_sender,
        sender_name=text_from(overview.get("messageSender")),
        technical_sender=technical_sender,
        sender_reference=text_from(overview.get("sendersReference")),
        created_at=time_from(overview.get("created")),
        requested_at=time_from(overview.get("requestedPublishTime")),
        published_at=_published(overview) or now,
        due_at=time_from(overview.get("dueDateTime")),
        confidential=_is_confidential(overview, ref),
        confirmation_needed=overview.get("isConfirmationNeeded")
        is True,  # a confirmation cannot be taken back, so no doubt makes one
        altinn2_id=identifier_from(overview.get("altinn2CorrespondenceId")),
        properties=properties,
        references=_dicts(overview.get("externalReferences")),
        reply_options=_dicts(overview.get("replyOptions")),
    )


def _is_confidential(overview: Mapping[str, Any], ref: LetterRef) -> bool:
    """Return whether the letter, the service that lists it, or its own resource says so."""
    service, resource = (
        find_service(ref.service),
        text_from(overview.get("resourceId")).removeprefix(_RESOURCE).lower(),
    )
    return (
        is_said(overview.get("isConfidential"))
        or bool(service and service.confidential)
        or resource in {each.id.lower() for each in CONFIDENTIAL_POST.resources}
    )


def _published(overview: Mapping[str, Any]) -> datetime | None:
    """Return when the letter was published, or the nearest to it that Altinn has."""
    told = (
        time_from(overview.get(name))
        for name in ("published", "requestedPublishTime", "created", "statusChanged")
    )
    return next(filter(None, told), None)


def body_type(body: str) -> str:
    """Return `text/html` for text with HTML block elements, otherwise `text/markdown`."""
    return "text/html" if _BLOCK.search(body) else "text/markdown"


def _part(attachment: Mapping[str, Any]) -> Part:
    name, checksum = text_from(attachment.get("fileName")), text_from(attachment.get("checksum"))
    return Part(
        external_id=text_from(attachment.get("id")),
        original_name=name,
        display_name=text_from(attachment.get("displayName")),
        media_type=media_type(text_from(attachment.get("dataType")), name),
        encrypted=attachment.get("isEncrypted") is True,
        sender_checksum=checksum.lower() if _MD5.fullmatch(checksum) else "",
        state=_state(attachment),
        expires_at=time_from(attachment.get("expirationTime")),
    )


def _state(attachment: Mapping[str, Any]) -> PartState:
    """Return what is known before the download.

    A download is tried with an unknown status, and past an expiry date.
    """
    status = text_from(attachment.get("status"))
    if not text_from(attachment.get("id")):
        return PartState.UNAVAILABLE
    if status in {"Purged", "Failed"}:
        return _STATES[status]
    if attachment.get("dataLocationType") == "ExternalStorage":
        return PartState.EXTERNAL
    return _STATES.get(status, PartState.PRESENT)


def media_type(data_type: str, name: str) -> str:
    """Return Altinn's type, or for `application/octet-stream` the one of the name's suffix."""
    told = data_type.partition(";")[0].strip().lower()
    if told != _UNTYPED and _MEDIA_TYPE.fullmatch(told):
        return told
    return _TYPES.get(name.rpartition(".")[2].lower(), _UNTYPED) if "." in name else _UNTYPED


def _dicts(value: object) -> list[dict[str, Any]]:
    return (
        [storable(each) for each in value if isinstance(each, dict)]
        if isinstance(value, list)
        else []
    )
