"""E-mail: to all or to none, one Message-ID for ever, nothing unverified, and a mail that any reader can parse."""

from __future__ import annotations

import email
import email.policy
import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from connectors.destinations.smtp import Mail, Settings, connect
from daemon.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.ports import Parcel
from daemon.settings import Secret

MakeParcel = Callable[..., Parcel]
PASSWORD = "correct-horse-battery"
TWO = ("regnskap@example.no", "post@example.no")


def mail_to(server: Any, **settings: Any) -> Mail:
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "sender": "postmottak@example.no",
        "recipients": TWO,
    }
    return Mail("regnskap-epost", Settings(**(known | settings)))


def parsed(mail: bytes) -> EmailMessage:
    found = email.message_from_bytes(mail, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    assert not any(part.defects for part in found.walk())
    return found


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_letter_is_one_mail(servers: Any, make_parcel: MakeParcel) -> None:
    """The mail has the promised headers, the letter's text, and the attachments byte for byte, and Python's own parser reads it."""
    server, parcel = servers.mail(), make_parcel(files={"Vedtak.pdf": b"%PDF\r\n.\r\n\x00", "Kart.png": bytes(range(256)) * 300})
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
    attached = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    assert attached == {"001-vedtak.pdf": b"%PDF\r\n.\r\n\x00", "002-kart.png": bytes(range(256)) * 300}
    assert receipt.details == {"message_id": receipt.reference, "recipients": list(TWO), "with_attachments": True}


def test_the_text_tells_what_is_known(servers: Any, make_parcel: MakeParcel) -> None:
    """The text says who wrote, what about, when, which files there are, which are missing and why; then come the letter's own words."""
    server = servers.mail()
    mail_to(server).deliver(make_parcel(missing=["Borte bilag.pdf"], confirmation_needed=True, summary="Kort sagt"))
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
        "Vi har behandlet **saken** deres.",
        "Hilsen Skatteetaten på Ås",
    ):
        assert line in text.splitlines()


def test_an_html_letter_is_mailed_as_text(servers: Any, make_parcel: MakeParcel) -> None:
    """HTML never reaches a mailbox as such; what a person would have read of it does."""
    server = servers.mail()
    body = "<html><style>p{}</style><p>Hei &amp; god dag, se <a href='https://skatt.example/a'>vedtaket</a></p><ul><li>én</ul><script>x()</script>"
    mail_to(server).deliver(make_parcel(body=body, body_type="text/html"))
    text = text_of(parsed(server.mails[0]))
    assert "Hei & god dag, se vedtaket <https://skatt.example/a>\n\n- én\n" in text
    assert not re.search(r"<p>|script|x\(\)|p\{\}", text)
    assert b"text/html" not in server.mails[0]


def test_a_title_cannot_smuggle_in_headers(servers: Any, make_parcel: MakeParcel) -> None:
    """Line breaks and control characters in what the sender wrote end up as spaces in one header, never as headers of their own."""
    server, title = servers.mail(), "Vedtak\r\nBcc: alle@example.no\r\n\r\nTekst\u2028X: y\x00\u202e" + "å" * 300
    parcel = make_parcel(title=title, sender_name="A\nX-Evil: 1", sender_reference="B\r\nX-Evil: 2", files={"a\r\nX-Evil: 3.pdf": b"%PDF"})
    mail_to(server).deliver(parcel)
    mail = parsed(server.mails[0])
    assert mail["Subject"] == "[4255/8] Vedtak Bcc: alle@example.no Tekst X: y " + "å" * 300
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert "\nX-Evil" not in text_of(mail)


@pytest.mark.parametrize("title", ["=?utf-8?q?Hei=0D=0ABcc:_a=40example.no?=", "=?utf-8?b?SGVpCkJjYzogYUBleGFtcGxlLm5v?= x", "==??=?"])
def test_a_title_that_looks_encoded_stays_as_it_is(servers: Any, make_parcel: MakeParcel, title: str) -> None:
    """A title in the notation of encoded headers is shown, not decoded, and so cannot smuggle in line breaks."""
    server = servers.mail()
    mail_to(server).deliver(make_parcel(title=title))
    mail = parsed(server.mails[0])
    assert mail["Bcc"] is None
    assert mail["Subject"].replace(" ", "") == f"[4255/8]{title}".replace(" ", "")


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
def test_any_media_type_can_be_attached(servers: Any, make_parcel: MakeParcel, media_type: str, expected: str) -> None:
    """A media type that could break the mail, or that is none, is mailed as plain bytes; others are kept."""
    server, parcel = servers.mail(), make_parcel(files={"fil.xml": b"From: x\n\n.\n<a/>\n"})
    mail_to(server).deliver(replace(parcel, parts=(replace(parcel.parts[0], media_type=media_type),)))
    part = next(parsed(server.mails[0]).iter_attachments())
    assert part.get_content_type() == expected
    assert part.get_payload(decode=True) == b"From: x\n\n.\n<a/>\n"


def test_big_attachments_stay_at_home(servers: Any, make_parcel: MakeParcel) -> None:
    """A letter over the limit is mailed without attachments, and says how big they are and how to get them."""
    server, parcel = servers.mail(), make_parcel(files={"stor.pdf": b"x" * 3_000_000})
    receipt = mail_to(server, max_attachment_bytes=2_500_000).deliver(parcel)
    mail = parsed(server.mails[0])
    assert list(mail.iter_attachments()) == []
    assert "3,0 MB, og grensen for denne e-postmottakeren er 2,5 MB" in text_of(mail)
    assert f"postmottak messages export {parcel.document.id}" in text_of(mail)
    assert receipt.details["with_attachments"] is False


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


@pytest.mark.parametrize(
    ("command", "answer", "kind"),
    [
        ("greeting", "554 not today", TemporaryFailure),
        ("greeting", "421 too busy", TemporaryFailure),
        ("greeting", "", TemporaryFailure),
        ("MAIL", "451 busy-now", TemporaryFailure),
        ("MAIL", "550 never", PermanentFailure),
        ("MAIL", "530 log in first", TemporaryFailure),
        ("MAIL", "552 exceeds", PermanentFailure),
        ("MAIL", "", TemporaryFailure),
        ("RCPT", "450 greylisted", TemporaryFailure),
        ("RCPT", "550 unknown", PermanentFailure),
        ("DATA", "451 busy-now", TemporaryFailure),
        ("DATA", "554 no", PermanentFailure),
        (".", "452 disk full", TemporaryFailure),
        (".", "554 looks like spam", PermanentFailure),
        (".", "", TemporaryFailure),
        (".", "nonsense", TemporaryFailure),
    ],
)
def test_what_a_refusal_means(servers: Any, make_parcel: MakeParcel, command: str, answer: str, kind: type[DeliveryFailure]) -> None:
    """Each stage's refusal is temporary or permanent as its status says; what the operator can mend waits; none shows the letter."""
    server = servers.mail()
    server.script[command] = answer
    with pytest.raises(kind) as caught:
        mail_to(server).deliver(make_parcel(title="hemmelig tittel"))
    assert "hemmelig" not in str(caught.value)
    assert not answer[4:] or answer[4:] not in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (("250 ok", "550 unknown"), PermanentFailure),
        (("550 unknown", "250 ok"), PermanentFailure),
        (("450 later", "550 unknown"), TemporaryFailure),
        (("550 unknown", "450 later"), TemporaryFailure),
        (("250 ok", "450 later"), TemporaryFailure),
    ],
)
def test_all_recipients_or_none(servers: Any, make_parcel: MakeParcel, answers: tuple[str, str], kind: type[DeliveryFailure]) -> None:
    """If one recipient is refused nobody gets the letter, so that no repeat is a second one; and it is tried again if that may help."""
    server = servers.mail()
    server.script.update({f"RCPT TO:<{address}>": answer for address, answer in zip(TWO, answers, strict=True)})
    with pytest.raises(kind, match=r"[12] of 2"):
        mail_to(server).deliver(make_parcel())
    assert server.mails == []
    assert "DATA" not in [command.upper() for command in server.commands]
    assert len([command for command in server.commands if command.startswith("rcpt")]) == 2


def test_a_rude_farewell_does_not_undo_a_delivery(servers: Any, make_parcel: MakeParcel) -> None:
    """Once the mail is accepted it is delivered, whatever the server does when it is left."""
    server = servers.mail()
    for answer in ("", "500 what"):
        server.script["QUIT"] = answer
        mail_to(server).deliver(make_parcel())
    assert len(server.mails) == 2


def test_a_silent_server_is_not_waited_for_long(servers: Any, make_parcel: MakeParcel) -> None:
    """A server that says nothing costs the timeout, and the letter is tried again later."""
    server = servers.mail()
    server.script["MAIL"] = None
    with pytest.raises(TemporaryFailure, match="no answer in time"):
        mail_to(server, timeout="1s").deliver(make_parcel())


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_encrypted_and_logged_in(servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path, security: str) -> None:
    """Over TLS from the start or by STARTTLS, with a certificate of an own authority, the password is sent only when encrypted."""
    server = servers.mail(**{security: server_tls})
    secret = Secret(Path("mail.secret"), PASSWORD)
    destination = mail_to(server, security=security, ca_file=ca_file, username="ola", password_file=secret)
    destination.deliver(make_parcel())
    assert len(server.mails) == 1
    if security == "starttls":
        assert server.commands.index("STARTTLS") < next(place for place, each in enumerate(server.commands) if each.startswith("AUTH"))


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_unknown_certificate_is_refused(servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, security: str) -> None:
    """A server whose certificate the system does not know gets nothing, and the remedy is said."""
    server = servers.mail(**{security: server_tls})
    with pytest.raises(TemporaryFailure, match=r"certificate cannot be verified .* ca_file"):
        mail_to(server, security=security).deliver(make_parcel())
    assert server.mails == []


def test_a_server_with_another_name_is_refused(servers: Any, make_parcel: MakeParcel, authority: trustme.CA, ca_file: Path) -> None:
    """A good certificate of somebody else is no good certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("annen.example.no").configure_cert(context)
    server = servers.mail(tls=context)
    with pytest.raises(TemporaryFailure, match="certificate cannot be verified"):
        mail_to(server, security="tls", ca_file=ca_file).deliver(make_parcel())


def test_no_starttls_means_no_mail(servers: Any, make_parcel: MakeParcel) -> None:
    """A server, or somebody in between, that leaves out STARTTLS does not get the letter unencrypted."""
    server = servers.mail()
    with pytest.raises(TemporaryFailure, match="offers no STARTTLS"):
        mail_to(server, security="starttls").deliver(make_parcel())
    assert not any(command.startswith("mail") for command in server.commands)


def test_a_server_without_tls_is_said_to_be_one(servers: Any, make_parcel: MakeParcel) -> None:
    """TLS to a port that speaks none is a failure for now, in words that an operator can use."""
    with pytest.raises(TemporaryFailure, match="no encrypted connection came about"):
        mail_to(servers.mail(), security="tls").deliver(make_parcel())


def test_a_server_without_log_in_is_said_to_be_one(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """A server that does not know how to log anybody in gets no letter from one who must."""
    server = servers.mail(tls=server_tls)
    for features in ("250 scripted", "250-scripted\r\n250 AUTH GSSAPI"):
        server.script["EHLO"] = features
        destination = mail_to(server, security="tls", ca_file=ca_file, username="ola", password_file=Secret(Path("mail.secret"), PASSWORD))
        with pytest.raises(TemporaryFailure, match="no way to log in"):
            destination.deliver(make_parcel())
    assert server.mails == []


@pytest.mark.parametrize("answer", ["535 wrong", "535 " + PASSWORD, "454 later", ""])
def test_a_refused_log_in_waits_for_the_operator(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path, answer: str
) -> None:
    """A wrong password is mended by the operator, so the letter waits; the password is not in what is said."""
    server = servers.mail(tls=server_tls)
    server.script["AUTH"] = answer
    destination = mail_to(server, security="tls", ca_file=ca_file, username="ola", password_file=Secret(Path("mail.secret"), PASSWORD))
    with pytest.raises(TemporaryFailure) as caught:
        destination.deliver(make_parcel())
    findings = list(destination.check())
    assert [finding.ok for finding in findings] == [False]
    assert PASSWORD not in f"{caught.value}{caught.value!r}{findings}{destination!r}{destination._settings!r}"


def test_check_sends_nothing(servers: Any) -> None:
    """A check connects, says who it is and leaves, and says what it has not proven."""
    server = servers.mail()
    findings = list(mail_to(server).check())
    assert [finding.ok for finding in findings] == [True]
    assert "no mail was sent" in findings[0].text
    assert [command.split()[0].upper() for command in server.commands] == ["EHLO", "NOOP", "QUIT"]


GOOD = {"host": "smtp.example.no", "sender": "a@example.no", "recipients": ["b@example.no"]}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "smtp://x"}, "is no host name"),
        ({"host": "a..b"}, "is no host name"),
        ({"sender": "Postmottak <a@example.no>"}, "is no e-mail address"),
        ({"sender": "a@example.no\r\nRCPT TO:<x@y.no>"}, "is no e-mail address"),
        ({"recipients": ["blåbær@example.no"]}, "is no e-mail address"),
        ({"recipients": []}, "at least 1"),
        ({"timeout": "0s"}, "is no time at all"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"username": "ola"}, "one of username and password_file"),
        ({"username": "ola", "password_file": "secret", "security": "none"}, "unencrypted"),
        ({"username": "ola", "password_file": "norsk"}, "outside ASCII"),
        ({"ca_file": "secret"}, "holds no certificates"),
        ({"ca_file": "missing.pem"}, "holds no certificates"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    """A mistake in the settings is found when they are read, and the password is not in what is said."""
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "norsk").write_text("blåbær" + PASSWORD, encoding="utf-8")
    with pytest.raises(ValidationError, match=words) as caught:
        Settings.model_validate(GOOD | settings, context={"base": tmp_path})
    assert PASSWORD not in f"{caught.value}{caught.value!r}"


def test_settings_that_work(tmp_path: Path, ca_file: Path) -> None:
    """The example of the configuration is good as it stands, and an empty ca_file means none."""
    (tmp_path / "secret").write_text(PASSWORD + "\n")
    given = {"username": "ola", "password_file": "secret", "ca_file": ""}
    settings = Settings.model_validate(GOOD | given, context={"base": tmp_path})
    assert (settings.port, settings.security, settings.ca_file, settings.timeout.total_seconds()) == (587, "starttls", None, 30)
    assert settings.password_file is not None
    assert settings.password_file.value == PASSWORD
    assert Settings.model_validate(GOOD | {"ca_file": str(ca_file)}).ca_file == ca_file
    connect("regnskap-epost", settings).close()
