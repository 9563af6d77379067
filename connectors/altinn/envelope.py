"""From Altinn's overview of a letter to an Envelope and its Parts. Pure; tolerant of everything but nonsense.

Fields: Altinn/altinn-correspondence `CorrespondenceOverviewMapper.cs` and `CorrespondenceAttachmentMapper.cs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from daemon.dpv import find_service
from daemon.model import Envelope, Letter, LetterRef, Part, PartState
from daemon.organisation import organisation_number

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?\s*(Z|z|[+-]\d\d:?\d\d)?")
_BLOCK = re.compile(
    r"<(?:!doctype|html|head|body|div|p|table|tr|td|ul|ol|li|h[1-6]|section|article|header|footer|blockquote|pre|hr|center|form)"
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
    """The letter that `ref` names, as `overview` tells it. Raises ValueError, which quotes nothing, if it is no overview of that letter."""
    if str(overview.get("correspondenceId", "")).lower() != ref.external_id.lower():
        raise ValueError("it is of another letter, or of none")
    content = overview.get("content")
    if not isinstance(content, dict):
        raise ValueError("it has no content")  # noqa: TRY004  # nonsense from outside is a bad value
    parts = tuple(_part(each, now) for each in _dicts(content.get("attachments")))
    return Letter(envelope=_envelope(overview, content, ref), parts=parts)


def _envelope(overview: Mapping[str, Any], content: Mapping[str, Any], ref: LetterRef) -> Envelope:
    body, properties = _text(content.get("messageBody")), overview.get("propertyList")
    properties = properties if isinstance(properties, dict) else {}
    technical_sender = organisation_number(_text(overview.get("sender")))
    service = find_service(ref.service)
    return Envelope(
        mailbox=ref.mailbox,
        external_id=ref.external_id,
        party=ref.party,
        service=ref.service,
        resource=ref.resource,
        title=_text(content.get("messageTitle")),
        summary=_text(content.get("messageSummary")),
        body=body,
        body_type=body_type(body),
        language=_text(content.get("language")),
        sender_org=organisation_number(_text(properties.get("senderOrgNumber"))) or technical_sender,
        sender_name=_text(overview.get("messageSender")),
        technical_sender=technical_sender,
        sender_reference=_text(overview.get("sendersReference")),
        created_at=time_from(overview.get("created")),
        requested_at=time_from(overview.get("requestedPublishTime")),
        published_at=_published(overview),
        due_at=time_from(overview.get("dueDateTime")),
        confidential=overview.get("isConfidential") is True or bool(service and service.confidential),
        confirmation_needed=overview.get("isConfirmationNeeded") is True,
        altinn2_id=_whole_number(overview.get("altinn2CorrespondenceId")),
        properties=properties,
        references=_dicts(overview.get("externalReferences")),
        reply_options=_dicts(overview.get("replyOptions")),
    )


def _published(overview: Mapping[str, Any]) -> datetime:
    """When the letter was published, or the nearest to it that Altinn tells."""
    for name in ("published", "requestedPublishTime", "created", "statusChanged"):
        if time := time_from(overview.get(name)):
            return time
    raise ValueError("it has no time at all")


def body_type(body: str) -> str:
    """`text/html` where the text has HTML that Markdown has no words for, such as tables and paragraphs; otherwise `text/markdown`."""
    return "text/html" if _BLOCK.search(body) else "text/markdown"


def time_from(value: object) -> datetime | None:
    """A time of Altinn's in UTC, cut to microseconds; None if there is none. One without a zone is meant in UTC."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if not zone or zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _part(attachment: Mapping[str, Any], now: datetime) -> Part:
    name, checksum = _text(attachment.get("fileName")), _text(attachment.get("checksum"))
    expires_at = time_from(attachment.get("expirationTime"))
    return Part(
        external_id=_text(attachment.get("id")),
        original_name=name,
        display_name=_text(attachment.get("displayName")),
        media_type=media_type(_text(attachment.get("dataType")), name),
        encrypted=attachment.get("isEncrypted") is True,
        sender_checksum=checksum.lower() if _MD5.fullmatch(checksum) else "",
        state=_state(attachment, expires_at, now),
        expires_at=expires_at,
    )


def _state(attachment: Mapping[str, Any], expires_at: datetime | None, now: datetime) -> PartState:
    """What is known before the download. A status that is not known is tried."""
    status = _text(attachment.get("status"))
    if not _text(attachment.get("id")):
        return PartState.UNAVAILABLE
    if status in {"Purged", "Failed"}:
        return _STATES[status]
    if attachment.get("dataLocationType") == "ExternalStorage":
        return PartState.EXTERNAL
    if expires_at and expires_at <= now:
        return PartState.EXPIRED
    return _STATES.get(status, PartState.PRESENT)


def media_type(data_type: str, name: str) -> str:
    """The type that Altinn tells, or where it tells none (`binary_octet_stream`), the one that belongs to the name's ending."""
    told = data_type.partition(";")[0].strip().lower()
    if told != _UNTYPED and _MEDIA_TYPE.fullmatch(told):
        return told
    return _TYPES.get(name.rpartition(".")[2].lower(), _UNTYPED) if "." in name else _UNTYPED


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
