"""A letter's overview as Altinn 3 sends it, to be changed and read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from connectors.altinn3.envelope import letter_from
from daemon.core.model import Envelope, LetterRef, Part

NOW = datetime(2026, 8, 12, tzinfo=UTC)
REF = LetterRef(
    mailbox="altinn",
    party="991825827",
    service="4255/10",
    resource="eformidling-dpv-administrasjon",
    external_id="0198a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b",
)


def attachment(**other: Any) -> dict[str, Any]:
    return {
        "created": "2026-08-11T07:14:40.120331+00:00",
        "dataLocationType": "AltinnCorrespondenceAttachment",
        "status": "Published",
        "dataType": "application/pdf",
        "expirationTime": None,
        "id": "6d0f0a53-0b63-4c5f-8e83-8d0b8f6f3a10",
        "fileName": "Vedtak.pdf",
        "displayName": "Vedtak i byggesak",
        "isEncrypted": False,
        "checksum": "9e107d9d372bb6826bd81d3542a419d6",
        "expirationInDays": None,
    } | other


def overview(content: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    """As in Altinn/altinn-correspondence CorrespondenceOverviewMapper.cs, of a letter from
    eFormidling."""
    plain = {
        "attachments": [],
        "language": "nb",
        "messageTitle": "Vedtak",
        "messageSummary": "Kort sagt",
        "messageBody": "Hei",
    }
    return {
        "correspondenceId": REF.external_id,
        "content": plain | (content or {}),
        "created": "2026-08-11T07:14:39.553211+00:00",
        "statusChanged": "2026-08-11T07:15:02.418377+00:00",
        "published": "2026-08-11T07:15:02.418377+00:00",
        "requestedPublishTime": "2026-08-11T07:14:38.9+00:00",
        "dueDateTime": "2026-08-18T07:14:38.9+00:00",
        "status": "Published",
        "sender": "urn:altinn:organization:identifier-no:991825827",
        "messageSender": "Eksempel kommune",
        "sendersReference": "b2a7c1de",
        "propertyList": {"senderOrgNumber": "964965226"},
        "externalReferences": [{"referenceValue": "x", "referenceType": "DialogportenDialogId"}],
        "replyOptions": [{"linkURL": "https://svar.example/", "linkText": "Svar"}],
        "isConfirmationNeeded": False,
        "isConfidential": False,
        "altinn2CorrespondenceId": None,
    } | other


def envelope(content: dict[str, Any] | None = None, ref: LetterRef = REF, **other: Any) -> Envelope:
    return letter_from(overview(content, **other), ref, NOW).envelope


def part(**other: Any) -> Part:
    return letter_from(overview({"attachments": [attachment(**other)]}), REF, NOW).parts[0]
