"""Attachments in mails: of any kind, within the limits, in one mail or in several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.connectors.mail_tools import MakeParcel, mail_to, parsed, text_of


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("text/xml", "text/xml"),
        ("IMAGE/PNG", "image/png"),
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
        ("application/pdf\r\nX-Evil: 1", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_any_media_type_can_be_attached(
    servers: Any, make_parcel: MakeParcel, media_type: str, expected: str
) -> None:
    """A media type that could break the mail, or that is none, is mailed as plain bytes; others are
    kept."""
    server, parcel = servers.mail(), make_parcel(files={"fil.xml": b"From: x\n\n.\n<a/>\n"})
    mail_to(server).deliver(
        replace(parcel, parts=(replace(parcel.parts[0], media_type=media_type),))
    )
    part = next(parsed(server.mails[0]).iter_attachments())
    assert part.get_content_type() == expected
    assert part.get_payload(decode=True) == b"From: x\n\n.\n<a/>\n"


def test_big_attachments_stay_at_home(servers: Any, make_parcel: MakeParcel) -> None:
    """A letter over the limit, as it would travel, is mailed without attachments, and says how big
    they are and how to get them."""
    server, parcel = servers.mail(), make_parcel(files={"stor.pdf": b"x" * 3_000_000})
    receipt = mail_to(server, max_attachment_bytes=4_000_000).deliver(parcel)
    mail = parsed(server.mails[0])
    assert list(mail.iter_attachments()) == []
    for kind in ("plain", "html"):
        assert "de er 3,0 MB, eller 4,1 MB som e-post" in text_of(mail, kind)
        assert f"postmottak messages export {parcel.document.id}" in text_of(mail, kind)
    assert receipt.details["with_attachments"] is False


def test_the_limit_counts_what_travels(servers: Any, make_parcel: MakeParcel) -> None:
    """An attachment that is as large as the limit once it is encoded is sent, and one byte of limit
    less keeps it at home."""
    server, parcel = servers.mail(), make_parcel(files={"stor.pdf": b"x" * 570})
    for limit in (780, 779):
        mail_to(server, max_attachment_bytes=limit).deliver(parcel)
    assert [len(list(parsed(mail).iter_attachments())) for mail in server.mails] == [1, 0]
    encoded = (
        server.mails[0].split(b"filename=")[1].partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0]
    )
    assert len(encoded) == 780


def test_a_server_that_announces_less_gets_less(servers: Any, make_parcel: MakeParcel) -> None:
    """A mail that is larger than the server says it takes goes without attachments instead of being
    refused."""
    server = servers.mail()
    server.script["EHLO"] = "250-scripted\r\n250 SIZE 100000"
    receipt = mail_to(server).deliver(make_parcel(files={"stor.pdf": b"x" * 100_000}))
    assert list(parsed(server.mails[0]).iter_attachments()) == []
    assert receipt.details["with_attachments"] is False


@pytest.mark.parametrize("announced", ["SIZE", "SIZE 0", "SIZE many"])
def test_a_server_without_a_limit_gets_everything(
    servers: Any, make_parcel: MakeParcel, announced: str
) -> None:
    """A limit that is none leaves nothing out."""
    server = servers.mail()
    server.script["EHLO"] = f"250-scripted\r\n250 {announced}"
    mail_to(server).deliver(make_parcel())
    assert len(list(parsed(server.mails[0]).iter_attachments())) == 1


def test_one_attachment_per_mail(servers: Any, make_parcel: MakeParcel) -> None:
    """Each attachment that is here travels alone with the letter's words, under an id of its own
    that is the same in every repeat."""
    server, parcel = (
        servers.mail(),
        make_parcel(files={"A.pdf": b"%PDF a", "B.pdf": b"%PDF b"}, missing=["C.pdf"]),
    )
    destination = mail_to(server, one_attachment_per_mail=True)
    receipts = [destination.deliver(parcel) for _ in range(2)]
    mails = [parsed(mail) for mail in server.mails]
    assert [[part.get_filename() for part in mail.iter_attachments()] for mail in mails] == [
        ["001-a.pdf"],
        ["002-b.pdf"],
    ] * 2
    assert [mail["Message-ID"] for mail in mails] == [
        f"<{parcel.delivery_id}.{place}@example.no>" for place in (1, 2)
    ] * 2
    assert [mail["Subject"] for mail in mails[:2]] == [
        "[4255/8] Vedtak om merverdiavgift (1/2)",
        "[4255/8] Vedtak om merverdiavgift (2/2)",
    ]
    assert all(
        "Vi har behandlet" in text_of(mail) and "003-c.pdf (C.pdf): mangler" in text_of(mail)
        for mail in mails
    )
    assert {receipt.reference for receipt in receipts} == {mails[0]["Message-ID"]}
    assert receipts[0].details["mails"] == 2


def test_one_attachment_per_mail_and_too_large_a_one(servers: Any, make_parcel: MakeParcel) -> None:
    """Of several attachments only the one that is too large stays at home, and its mail says so."""
    server, parcel = servers.mail(), make_parcel(files={"A.pdf": b"x" * 10_000, "B.pdf": b"%PDF b"})
    receipt = mail_to(server, one_attachment_per_mail=True, max_attachment_bytes=10_000).deliver(
        parcel
    )
    assert [len(list(parsed(mail).iter_attachments())) for mail in server.mails] == [0, 1]
    assert "Vedlegg er ikke med" in text_of(parsed(server.mails[0]))
    assert receipt.details["with_attachments"] is False


def test_one_attachment_per_mail_of_a_letter_without_any(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """A letter without attachments is one mail in either case, with the same id."""
    server, parcel = servers.mail(), make_parcel(files={}, missing=["C.pdf"])
    for each in (True, False):
        mail_to(server, one_attachment_per_mail=each).deliver(parcel)
    assert [parsed(mail)["Message-ID"] for mail in server.mails] == [
        f"<{parcel.delivery_id}@example.no>"
    ] * 2
