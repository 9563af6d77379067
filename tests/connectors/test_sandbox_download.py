"""Downloads at the simulated Altinn: the bytes, the headers, the order of the checks, and the trace
that each one leaves.

Real tests of the same:
Altinn.Correspondence.Tests/TestingController/Correspondence/CorrespondenceAttachmentTests.cs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.sandbox.altinn3 import faults
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import AttachmentStatus, PretendAttachment, PretendLetter

PARTY = "974761076"
RESOURCE = "eformidling-dpv-administrasjon"
BASE = "/correspondence/api/v1/correspondence"
UNKNOWN = "0198a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"
MEGABYTE = 1 << 20


@dataclass
class World:
    altinn: FakeAltinn
    http: httpx.Client

    def publish(self, *attachments: PretendAttachment, **more: Any) -> tuple[str, list[str]]:
        letter = self.altinn.publish(PretendLetter(party=PARTY, attachments=attachments, **more))
        return letter, [
            f"{BASE}/{letter}/attachment/{each.id}/download"
            for each in self.altinn.record(letter).attachments
        ]

    def download(self, attachment: PretendAttachment, **headers: str) -> httpx.Response:
        return self.http.get(self.publish(attachment)[1][0], headers=headers)


@pytest.fixture
def world() -> Iterator[World]:
    with FakeAltinn() as altinn, httpx.Client(base_url=altinn.platform_url) as http:
        ready = altinn.ready_client()
        altinn.allow(ready.client_id, PARTY, [RESOURCE])
        http.headers["Authorization"] = f"Bearer {altinn.token(ready.client_id, PARTY)}"
        yield World(altinn, http)


def code(response: httpx.Response) -> tuple[int, int]:
    return response.status_code, response.json()["errorCode"]


@pytest.mark.parametrize(
    ("name", "media_type", "disposition"),
    [
        ("a.pdf", "application/pdf", "inline; filename*=UTF-8''a.pdf"),
        ("A.PNG", "image/png", "inline; filename*=UTF-8''A.PNG"),
        ("a.jpeg", "image/jpeg", "inline; filename*=UTF-8''a.jpeg"),
        ("blå bær.pdf", "application/pdf", "inline; filename*=UTF-8''bl%C3%A5%20b%C3%A6r.pdf"),
        (
            "a.txt",
            "text/plain; charset=utf-8",
            "attachment; filename=a.txt; filename*=UTF-8''a.txt",
        ),
        ("a.csv", "text/csv; charset=utf-8", "attachment; filename=a.csv; filename*=UTF-8''a.csv"),
        (
            "a.html",
            "text/html; charset=utf-8",
            "attachment; filename=a.html; filename*=UTF-8''a.html",
        ),
        ("a.json", "application/json", "attachment; filename=a.json; filename*=UTF-8''a.json"),
        ("a.xml", "application/xml", "attachment; filename=a.xml; filename*=UTF-8''a.xml"),
        ("a.dicom", "application/dicom", "attachment; filename=a.dicom; filename*=UTF-8''a.dicom"),
        (
            "a.docx",
            "application/octet-stream",
            "attachment; filename=a.docx; filename*=UTF-8''a.docx",
        ),
        (
            "blåbær.zip",
            "application/octet-stream",
            "attachment; filename=bl_b_r.zip; filename*=UTF-8''bl%C3%A5b%C3%A6r.zip",
        ),
        (
            'a "b".txt',
            "text/plain; charset=utf-8",
            "attachment; filename=\"a _b_.txt\"; filename*=UTF-8''a%20%22b%22.txt",
        ),
        ("", "application/octet-stream", "attachment; filename=\"\"; filename*=UTF-8''"),
    ],
)
def test_headers_follow_the_extension(
    world: World, name: str, media_type: str, disposition: str
) -> None:
    """API/Helpers/FileDownloadResponseHelper.cs: what a browser can show is inline and has no plain
    file name."""
    response = world.download(PretendAttachment(name=name, content=b"abc"))
    assert (response.status_code, response.content) == (200, b"abc")
    assert response.headers["content-type"] == media_type
    assert response.headers["content-disposition"] == disposition
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_length_is_not_promised(world: World) -> None:
    """A download is chunked, unless the sandbox is told to announce lengths."""
    assert "content-length" not in world.download(PretendAttachment(content=b"abc")).headers
    world.altinn.correspondence.announce_lengths = True
    assert world.download(PretendAttachment(content=b"abc")).headers["content-length"] == "3"


def test_range_is_ignored(world: World) -> None:
    """Asking for a part gets the whole with 200."""
    response = world.download(PretendAttachment(content=b"abcdef"), Range="bytes=3-")
    assert (response.status_code, response.content) == (200, b"abcdef")


def test_empty_files_are_files(world: World) -> None:
    """No bytes at all is a good download."""
    response = world.download(PretendAttachment(content=b""))
    assert (response.status_code, response.content) == (200, b"")


def test_large_files_are_made_up_as_they_go(world: World) -> None:
    """A size without content has the promised length and the checksum that the overview tells, and
    no two megabytes are equal."""
    size = 5 * MEGABYTE + 17
    letter, (path,) = world.publish(PretendAttachment(size=size))
    digest, length, pieces = hashlib.md5(usedforsecurity=False), 0, set()
    with world.http.stream("GET", path) as response:
        for chunk in response.iter_bytes(MEGABYTE):
            digest.update(chunk)
            length += len(chunk)
            pieces.add(chunk)
    told = world.http.get(f"{BASE}/{letter}").json()["content"]["attachments"][0]["checksum"]
    assert (length, digest.hexdigest(), len(pieces)) == (size, told, 6)


def test_each_download_leaves_a_row_and_needs_no_fetched(world: World) -> None:
    """Two downloads are two rows, whose text names the attachment; nothing is Fetched or Read by
    it."""
    letter, (path,) = world.publish(PretendAttachment(content=b"abc"))
    for _ in range(2):
        world.http.get(path)
    rows = world.altinn.history(letter)[3:]
    assert [row.status.name for row in rows] == ["AttachmentsDownloaded"] * 2
    assert rows[0].text == f"Attachment {path.split('/')[-2]} has been downloaded"


def test_the_row_is_there_though_the_transfer_breaks(world: World) -> None:
    """It is written before the first byte (DownloadCorrespondenceAttachmentHandler.cs)."""
    letter, (path,) = world.publish(PretendAttachment(content=b"abcdef"))
    world.altinn.faults.inject(faults.cut_short(announced=True), "download")
    with pytest.raises(httpx.RemoteProtocolError):
        world.http.get(path)
    assert world.altinn.statuses(letter)[3:] == ("AttachmentsDownloaded",)


def test_the_checks_have_an_order(world: World) -> None:
    """Letter, attachment, right to the attachment's own resource, purged or expired, and only then
    whether the letter is available."""
    letter, paths = world.publish(
        PretendAttachment(content=b"a", resource="not-mine", status=AttachmentStatus.Purged),
        PretendAttachment(content=b"b", status=AttachmentStatus.Purged),
        PretendAttachment(content=b"c", status=AttachmentStatus.Expired),
        PretendAttachment(content=b"d", expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        PretendAttachment(content=b"e"),
    )
    world.altinn.withdraw(letter)
    assert code(world.http.get(f"{BASE}/{UNKNOWN}/attachment/{UNKNOWN}/download")) == (404, 1001)
    assert code(world.http.get(f"{BASE}/{letter}/attachment/{UNKNOWN}/download")) == (404, 2001)
    assert [code(world.http.get(path)) for path in paths] == [
        (401, 4001),
        (400, 2019),
        (400, 2020),
        (400, 2020),
        (404, 1001),
    ]
    assert world.http.get(f"{BASE}/{letter}/attachment/abc/download").json()["code"] == "STD-00000"


def test_an_attachment_may_belong_to_another_resource(world: World) -> None:
    """The letter can be had and one of its attachments not."""
    letter, (path,) = world.publish(PretendAttachment(content=b"a", resource="not-mine"))
    assert world.http.get(f"{BASE}/{letter}").status_code == 200
    assert code(world.http.get(path)) == (401, 4001)


def test_attachments_change_while_the_letter_lies_there(world: World) -> None:
    """One that expires is told as expired, and cannot be downloaded any more."""
    letter, (path,) = world.publish(PretendAttachment(content=b"a"))
    assert world.http.get(path).status_code == 200
    world.altinn.set_attachment(letter, path.split("/")[-2], AttachmentStatus.Expired)
    shown = world.http.get(f"{BASE}/{letter}").json()["content"]["attachments"][0]
    assert (shown["status"], shown["statusText"]) == ("Expired", "The attachment has expired")
    assert code(world.http.get(path)) == (400, 2020)


@pytest.mark.parametrize(
    "attachment",
    [
        PretendAttachment(content=b"a", status=AttachmentStatus.Failed),
        PretendAttachment(content=b"a", data_location_type="ExternalStorage"),
    ],
)
def test_bytes_that_altinn_does_not_have_are_an_unhandled_error(
    world: World, attachment: PretendAttachment
) -> None:
    """A failed scan or a file kept elsewhere is a 500 problem without a code, and leaves no row."""
    letter, (path,) = world.publish(attachment)
    response = world.http.get(path)
    body = response.json()
    assert (response.status_code, body["title"], body["detail"], body["instance"]) == (
        500,
        "Internal Server Error",
        "",
        path,
    )
    assert "errorCode" not in body
    assert world.altinn.statuses(letter)[3:] == ()
