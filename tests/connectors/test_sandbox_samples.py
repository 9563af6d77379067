"""The sample letters: every service is there, every one is readable, and the same ones come each
time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest

from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.pdf import pdf
from connectors.sandbox.samples import (
    HOSTILE_NAMES,
    SAMPLES,
    letters,
    sandbox_resource,
    sandbox_resources,
)
from daemon.core.dpv import ALL_SERVICES, DPV_SERVICES
from daemon.core.organisation import is_organisation_number

PARTY = "910075918"
NOW = datetime(2026, 8, 11, 12, tzinfo=UTC)


def test_each_service_has_a_resource_of_its_own() -> None:
    """The two that are known are named as they are; the others are plainly the sandbox's."""
    resources = sandbox_resources()
    assert list(resources) == [service.code for service in ALL_SERVICES]
    assert len(set(resources.values())) == len(ALL_SERVICES)
    assert resources["4255/10"] == "eformidling-dpv-administrasjon"
    assert resources["5504/1"] == "eformidling-dpv-taushetsbelagt"
    assert (
        resources["4255/8"]
        == sandbox_resource("skatter-avgifter")
        == "sandbox-dpv-skatter-avgifter"
    )
    assert "5504/1" not in sandbox_resources(confidential=False)
    with pytest.raises(KeyError):
        sandbox_resource("9999/1")


def test_the_first_ten_are_one_for_each_service() -> None:
    """Then come a confidential letter, one with several attachments, and one with hostile names."""
    sample = letters(SAMPLES, party=PARTY, now=NOW)
    assert [letter.resource for letter in sample[:10]] == [
        sandbox_resource(service.code) for service in DPV_SERVICES
    ]
    assert [letter.is_confidential for letter in sample] == [False] * 10 + [True, False, False]
    assert len(sample[11].attachments) > 3
    assert tuple(attachment.name for attachment in sample[12].attachments) == HOSTILE_NAMES
    assert max(len(name) for name in HOSTILE_NAMES) == 300


def test_senders_have_right_numbers() -> None:
    """Every sender's number has its check digit."""
    assert all(
        is_organisation_number(letter.sender_org or "")
        for letter in letters(SAMPLES, party=PARTY, now=NOW)
    )


def test_letters_scale_and_repeat() -> None:
    """Any number, the same for the same arguments, all with ids and times of their own."""
    many = letters(500, party=PARTY, now=NOW)
    assert many == letters(500, party=PARTY, now=NOW)
    assert many[:20] == letters(20, party=PARTY, now=NOW)
    assert (
        len({letter.id for letter in many}) == len({letter.requested_at for letter in many}) == 500
    )
    assert letters(0, party=PARTY, now=NOW) == ()


def test_letters_arrive_as_they_are() -> None:
    """Published, each can be listed, opened and downloaded, odd names and all."""
    with FakeAltinn() as altinn, httpx.Client(base_url=altinn.platform_url) as http:
        ready = altinn.ready_client()
        altinn.allow(ready.client_id, PARTY, sandbox_resources().values())
        http.headers["Authorization"] = f"Bearer {altinn.token(ready.client_id, PARTY)}"
        for letter in letters(SAMPLES, party=PARTY, now=NOW):
            base = f"/correspondence/api/v1/correspondence/{altinn.publish(letter)}"
            told = http.get(base).json()["content"]["attachments"]
            assert [each["fileName"] for each in told] == [
                attachment.name for attachment in letter.attachments
            ]
            for each, attachment in zip(told, letter.attachments, strict=True):
                assert (
                    http.get(f"{base}/attachment/{each['id']}/download").content
                    == attachment.content
                )


def test_pdfs_are_pdfs() -> None:
    """Every object is where the table says, so that any reader finds it, and Norwegian letters and
    brackets survive."""
    document = pdf("Vedtak (endelig) på blåbær\nLinje 2")
    start = int(re.findall(rb"startxref\n(\d+)\n%%EOF\n$", document)[0])
    assert document[start:].startswith(b"xref\n0 6\n")
    offsets = [int(offset) for offset in re.findall(rb"(\d{10}) 00000 n ", document)]
    assert [document[offset:].split(b"\n")[0] for offset in offsets] == [
        b"%d 0 obj" % number for number in range(1, 6)
    ]
    assert "Vedtak \\(endelig\\) på blåbær".encode("cp1252") in document
    length = int(re.findall(rb"/Length (\d+)", document)[0])
    assert document.split(b"stream\n", 1)[1][length:].startswith(b"\nendstream")
