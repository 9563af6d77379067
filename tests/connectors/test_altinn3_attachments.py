"""Attachments as Altinn describes them; without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.altinn3.envelope import letter_from, media_type
from daemon.core.model import PartState
from tests.connectors.altinn3_overview import NOW, REF, attachment, overview, part

PAST, FUTURE = "2026-08-01T00:00:00+00:00", "2026-09-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, PartState.PRESENT),
        ({"status": "Purged"}, PartState.PURGED),
        ({"status": "Failed"}, PartState.SCAN_FAILED),
        ({"status": "Expired"}, PartState.EXPIRED),
        ({"expirationTime": PAST}, PartState.PRESENT),
        ({"expirationTime": "0001-01-01T00:00:00+00:00"}, PartState.PRESENT),
        ({"expirationTime": FUTURE}, PartState.PRESENT),
        ({"status": "Initialized"}, PartState.UNAVAILABLE),
        ({"status": "UploadProcessing"}, PartState.UNAVAILABLE),
        ({"status": "Quarantined"}, PartState.PRESENT),
        ({"status": None}, PartState.PRESENT),
        ({"dataLocationType": "ExternalStorage"}, PartState.EXTERNAL),
        ({"dataLocationType": "ExternalStorage", "status": "Purged"}, PartState.PURGED),
        ({"dataLocationType": "Moon"}, PartState.PRESENT),
        ({"id": None}, PartState.UNAVAILABLE),
    ],
)
def test_what_is_known_of_an_attachment_decides_whether_it_is_tried(
    fields: dict[str, Any], state: PartState
) -> None:
    """Only what cannot be there is not tried; a status that nobody knows yet is, and a date decides
    nothing."""
    assert part(**fields).state is state


@pytest.mark.parametrize(
    ("checksum", "expected"),
    [
        ("9E107D9D372BB6826BD81D3542A419D6", "9e107d9d372bb6826bd81d3542a419d6"),
        ("", ""),
        (None, ""),
        ("nhB9nTcrtoJr2B01QqQZ1g==", ""),
    ],
)
def test_a_checksum_counts_only_if_it_is_one(checksum: str | None, expected: str) -> None:
    """MD5 in hexadecimal is compared in lower case; anything else can prove nothing."""
    assert part(checksum=checksum).sender_checksum == expected


@pytest.mark.parametrize(
    ("told", "name", "expected"),
    [
        ("application/pdf", "x.pdf", "application/pdf"),
        ("text/plain; charset=utf-8", "x.txt", "text/plain"),
        (
            "binary_octet_stream",
            "Tegning.DOCX",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        ("application/octet-stream", "x.zip", "application/zip"),
        ("binary_octet_stream", "x.cad", "application/octet-stream"),
        ("binary_octet_stream", "pdf", "application/octet-stream"),
        ("", "", "application/octet-stream"),
        ("text/html\r\nX: y", "x", "application/octet-stream"),
    ],
)
def test_the_media_type_is_told_or_follows_from_the_name(
    told: str, name: str, expected: str
) -> None:
    """Altinn's word for a type it does not know is replaced by what the name says; what is not a
    media type is never passed on."""
    assert media_type(told, name) == expected


def test_attachments_keep_names_order_and_marks() -> None:
    """Names are kept as sent, also empty and equal ones; encryption and expiry are told."""
    several = [
        attachment(fileName="../../x", id="1"),
        attachment(fileName=None, id="2", isEncrypted=True, expirationTime=FUTURE),
    ]
    first, second = letter_from(overview({"attachments": several}), REF, NOW).parts
    assert (first.external_id, first.original_name, first.display_name) == (
        "1",
        "../../x",
        "Vedtak i byggesak",
    )
    assert (second.external_id, second.original_name, second.encrypted, second.expires_at) == (
        "2",
        "",
        True,
        datetime(2026, 9, 1, tzinfo=UTC),
    )
