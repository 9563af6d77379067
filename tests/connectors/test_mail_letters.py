"""A letter as a mail: nothing of it lost, nothing of it obeyed, and the same in every repeat."""

from __future__ import annotations

import re
from typing import Any

import pytest

from daemon.core.errors import PermanentFailure
from daemon.core.model import MessageKind
from tests.connectors.mail_tools import TWO, MakeParcel, mail_to, parsed, text_of


def test_a_letter_is_one_mail(servers: Any, make_parcel: MakeParcel) -> None:
    """The mail has the promised headers, the letter's text, and the attachments byte for byte, and
    Python's own parser reads it."""
    server, parcel = (
        servers.mail(),
        make_parcel(
            files={"Vedtak.pdf": b"%PDF\r\n.\r\n\x00", "Kart.png": bytes(range(256)) * 300}
        ),
    )
    receipt = mail_to(server).deliver(parcel)
    mail = parsed(server.mails[0])
    assert mail["From"] == "postmottak@example.no"
    assert mail["To"] == "regnskap@example.no, post@example.no"
    assert mail["Subject"] == "[4255/8] Vedtak om merverdiavgift"
    assert mail["Date"].datetime == parcel.document.fetched_at
    assert mail["Message-ID"] == f"<{parcel.delivery_id}@example.no>" == receipt.reference
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Postmottak-Delivery"] == str(parcel.delivery_id)
    assert mail["X-Postmottak-Message"] == str(parcel.document.id)
    assert mail["X-Postmottak-Service"] == "4255/8"
    attached = {
        part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()
    }
    assert attached == {
        "001-vedtak.pdf": b"%PDF\r\n.\r\n\x00",
        "002-kart.png": bytes(range(256)) * 300,
    }
    assert receipt.details == {
        "message_id": receipt.reference,
        "mails": 1,
        "recipients": list(TWO),
        "with_attachments": True,
    }


def test_the_text_tells_what_is_known(servers: Any, make_parcel: MakeParcel) -> None:
    """The text says who wrote, what about, when, which files there are, which are missing and why;
    then come the letter's own words."""
    server = servers.mail()
    mail_to(server).deliver(
        make_parcel(missing=["Borte bilag.pdf"], confirmation_needed=True, summary="Kort sagt")
    )
    text = text_of(parsed(server.mails[0]))
    for line in (
        "Tjeneste:      4255/8 Skatter og avgifter",
        "Avsender:      Skatteetaten (974761076)",
        "Mottaker:      991825827",
        "Fordelt til:   Regnskapsavdelingen",
        "Tittel:        Vedtak om merverdiavgift",
        "Publisert:     12.03.2026 kl. 10.46",
        "Referanse:     2026/1234",
        "Bekreftelse:   avsenderen ber om bekreftelse",
        "- 001-vedtak-om-mva.pdf (Vedtak om mva.pdf), 0,0 kB",
        "- 002-borte-bilag.pdf (Borte bilag.pdf): mangler, utløpt i Altinn før det ble hentet",
        "Kort sagt",
        "Vi har behandlet saken deres.",
        "Hilsen Skatteetaten på Ås",
    ):
        assert line in text.splitlines()


def test_an_html_letter_is_mailed_as_text_and_as_harmless_html(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """A reader of plain text gets the words, another the structure; neither gets anything that runs
    or is fetched."""
    server = servers.mail()
    body = (
        "<html><style>p{}</style><p onclick='x()'>Hei &amp; god dag, se <a "
        "href='https://skatt.example/a'>vedtaket</a></p>"
        "<ul><li>én</ul><script>x()</script><img src='https://spor.example/1.gif'><a "
        "href='javascript:x()'>her</a>"
    )
    mail_to(server).deliver(make_parcel(body=body, body_type="text/html"))
    mail = parsed(server.mails[0])
    assert "Hei & god dag, se vedtaket <https://skatt.example/a>\n\n- én\n" in text_of(mail)
    assert not re.search(r"<p>|script|x\(\)|p\{\}", text_of(mail))
    html = text_of(mail, "html")
    assert (
        '<p>Hei &amp; god dag, se <a href="https://skatt.example/a" rel="noopener '
        'noreferrer">vedtaket</a></p>' in html
    )
    assert not re.search(r"script|x\(\)|p\{\}|spor\.example|<img|onclick", html)


def test_a_markdown_letter_has_an_html_form(servers: Any, make_parcel: MakeParcel) -> None:
    """Markdown is shown as its writer meant it, beside the words as they were written, and tells
    the same facts."""
    server = servers.mail()
    mail_to(server).deliver(make_parcel(title="Vedtak <b>"))
    mail = parsed(server.mails[0])
    assert mail.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in mail.iter_parts()] == [
        "multipart/alternative",
        "application/pdf",
    ]
    html = text_of(mail, "html")
    assert "<p>Vi har behandlet <strong>saken</strong> deres.</p>" in html
    assert "Vedtak &lt;b&gt;" in html
    assert "<li>001-vedtak-om-mva.pdf (Vedtak om mva.pdf), 0,0 kB</li>" in html


def test_a_very_long_letter_is_mailed_as_text_alone(servers: Any, make_parcel: MakeParcel) -> None:
    """A text so long that reading its markup could hold a worker has no HTML form, and is whole all
    the same."""
    server = servers.mail()
    mail_to(server).deliver(make_parcel(body="[a][" * 60_000))
    mail = parsed(server.mails[0])
    assert mail.get_body(("html",)) is None
    assert text_of(mail).count("[a][") == 60_000


def test_a_mail_in_english(servers: Any, make_parcel: MakeParcel) -> None:
    """With language en, Postmottak's own words are English in both forms, and the letter's stay
    what they are."""
    server = servers.mail()
    mail_to(server, language="en").deliver(make_parcel(missing=["Kart.pdf"], title=""))
    mail = parsed(server.mails[0])
    assert mail["Subject"] == "[4255/8] (no title)"
    for line in (
        "Service:       4255/8 Taxes and duties",
        "Published:     2026-03-12 10:46 (Norway)",
        "Routed to:     Regnskapsavdelingen",
    ):
        assert line in text_of(mail).splitlines()
    assert "002-kart.pdf (Kart.pdf): missing, expired in Altinn before it was fetched" in text_of(
        mail
    )
    assert "Vi har behandlet" in text_of(mail)
    assert '<html lang="en">' in text_of(mail, "html")


def test_a_title_cannot_smuggle_in_headers(servers: Any, make_parcel: MakeParcel) -> None:
    """Line breaks and control characters in what the sender wrote end up as spaces in one header,
    never as headers of their own."""
    server, title = (
        servers.mail(),
        "Vedtak\r\nBcc: alle@example.no\r\n\r\nTekst\u2028X: y\x00\u202e" + "å" * 300,
    )
    parcel = make_parcel(
        title=title,
        sender_name="A\nX-Evil: 1",
        sender_reference="B\r\nX-Evil: 2",
        files={"a\r\nX-Evil: 3.pdf": b"%PDF"},
    )
    mail_to(server).deliver(parcel)
    mail = parsed(server.mails[0])
    assert mail["Subject"] == "[4255/8] Vedtak Bcc: alle@example.no Tekst X: y \u202e" + "å" * 300
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert "\nX-Evil" not in text_of(mail)


@pytest.mark.parametrize(
    "title",
    [
        "=?utf-8?q?Hei=0D=0ABcc:_a=40example.no?=",
        "=?utf-8?b?SGVpCkJjYzogYUBleGFtcGxlLm5v?= x",
        "==??=?",
    ],
)
def test_a_title_that_looks_encoded_stays_as_it_is(
    servers: Any, make_parcel: MakeParcel, title: str
) -> None:
    """A title in the notation of encoded headers is shown, not decoded, and so cannot smuggle in
    line breaks."""
    server = servers.mail()
    mail_to(server).deliver(make_parcel(title=title))
    mail = parsed(server.mails[0])
    assert mail["Bcc"] is None
    assert mail["Subject"] == f"[4255/8] {title}"


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ({}, {"title": "Noe annet"}, True),
        (
            {"title": "Sak 2026/77: varsel"},
            {"title": "Vedtak i 2026/77", "sender_reference": "x"},
            True,
        ),
        ({}, {"sender_org": "991825827"}, False),
        ({}, {"sender_reference": "2026/9"}, False),
        ({}, {"party": "974761076"}, False),
        ({"sender_reference": ""}, {"sender_reference": ""}, False),
    ],
)
def test_letters_of_one_matter_are_shown_together(
    servers: Any,
    make_parcel: MakeParcel,
    first: dict[str, str],
    second: dict[str, str],
    together: bool,
) -> None:
    """The sender with a case number or a reference makes a thread, whichever letter comes first;
    nothing else does."""
    server = servers.mail()
    for number, fields in enumerate((first, second)):
        mail_to(server).deliver(make_parcel(f"letter-{number}", **fields))
    threads = [set((parsed(mail)["References"] or "").split()) for mail in server.mails]
    assert bool(threads[0] & threads[1]) == together
    assert all(
        (parsed(mail)["In-Reply-To"] or "") in (parsed(mail)["References"] or "")
        for mail in server.mails
    )


def test_a_letter_of_nobody_belongs_to_no_thread(servers: Any, make_parcel: MakeParcel) -> None:
    """Letters of unknown senders are not shown together because they happen to have the same
    reference."""
    server = servers.mail()
    mail_to(server).deliver(make_parcel(sender_org=None, sender_name=""))
    assert parsed(server.mails[0])["References"] is None


def test_a_subject_of_ones_own(servers: Any, make_parcel: MakeParcel) -> None:
    """A template is filled in with what is known; what a sender wrote in braces stays as it is."""
    server = servers.mail()
    template = (
        "{recipients}: {title} fra {sender} {sender_number} ({reference}), frist {deadline} {{x}}"
    )
    mail_to(server, subject=template).deliver(make_parcel(title="{sender.__class__} {0}"))
    expected = (
        "Regnskapsavdelingen: {sender.__class__} {0} fra Skatteetaten 974761076 (2026/1234), "
        "frist {x}"
    )
    assert parsed(server.mails[0])["Subject"] == expected


def test_a_repeat_has_the_same_message_id(servers: Any, make_parcel: MakeParcel) -> None:
    """A mail that is sent again is the same mail; a new generation is another."""
    server = servers.mail()
    destination = mail_to(server)
    for generation in (1, 1, 2):
        destination.deliver(make_parcel(generation=generation))
    ids = [parsed(mail)["Message-ID"] for mail in server.mails]
    assert ids[0] == ids[1] != ids[2]


def test_confidential_letters_are_not_mailed(servers: Any, make_parcel: MakeParcel) -> None:
    """A confidential letter is refused for good before anybody is connected to."""
    server = servers.mail()
    with pytest.raises(PermanentFailure, match="confidential"):
        mail_to(server).deliver(make_parcel(service="5504/1", confidential=True))
    assert server.commands == []


def test_the_notice_of_a_confidential_letter_is_mailed(
    servers: Any, make_parcel: MakeParcel
) -> None:
    """Postmottak's own word that a confidential letter waits goes by mail, and says nothing about
    attachments that it cannot have."""
    server = servers.mail()
    body = "Et taushetsbelagt brev til 991825827 venter i Altinn.\n"
    notice = {
        "kind": MessageKind.NOTICE,
        "service": "5504/1",
        "confidential": True,
        "title": "Taushetsbelagt post venter i Altinn",
    }
    mail_to(server).deliver(make_parcel(files={}, body=body, **notice))
    mail = parsed(server.mails[0])
    assert mail["Subject"] == "[5504/1] Taushetsbelagt post venter i Altinn"
    assert body in text_of(mail)
    assert "vedlegg" not in text_of(mail).lower()
