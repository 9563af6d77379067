"""The mail sink: takes what it should, insists on encryption and a login where told to, and refuses
on request."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

from connectors.sandbox.sinks.mail import MailSink

LOGIN = ("postmottak", "correct-horse-battery")
RECIPIENTS = ["a@example.no", "b@example.no"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextmanager
def connected(sink: MailSink) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(sink.host, sink.port, timeout=30) as smtp:
        yield smtp


def mail(text: str = "Hei på deg") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "fra@example.no",
        ", ".join(RECIPIENTS),
        "Et brev",
    )
    message.set_content(text)
    message.add_attachment(
        b"\x00\r\n.\r\n\xff", maintype="application", subtype="pdf", filename="Vedtak på blåbær.pdf"
    )
    return message


def send(smtp: smtplib.SMTP) -> dict[str, tuple[int, bytes]]:
    return smtp.send_message(mail(), "fra@example.no", RECIPIENTS)


def test_a_mail_is_kept_whole() -> None:
    """Envelope, text and attachment are as they were sent."""
    with MailSink() as sink, connected(sink) as smtp:
        send(smtp)
        assert sink.wait_for(1)
        (kept,) = sink.mails
    assert (kept.sender, kept.recipients, kept.tls, kept.user) == (
        "fra@example.no",
        tuple(RECIPIENTS),
        False,
        None,
    )
    (attachment,) = kept.message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == (
        "Vedtak på blåbær.pdf",
        b"\x00\r\n.\r\n\xff",
    )


def test_mails_can_be_files(tmp_path: Path) -> None:
    """With a folder, each mail is a file there, numbered."""
    folder = tmp_path / "mails"
    with MailSink(folder=folder) as sink, connected(sink) as smtp:
        send(smtp)
        send(smtp)
    assert sorted(path.name for path in folder.iterdir()) == ["0001.eml", "0002.eml"]
    assert b"Subject: Et brev" in (folder / "0001.eml").read_bytes()


def test_starttls_is_insisted_on(certificate: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """Without encryption nothing is taken; with it, the mail is marked as encrypted."""
    with MailSink(starttls=certificate) as sink, connected(sink) as smtp:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            send(smtp)
        assert refused.value.smtp_code == 530
        smtp.starttls(context=trusting)
        send(smtp)
        assert sink.mails[0].tls


def test_tls_from_the_first_byte(certificate: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """Implicit TLS works with a login, and one who does not trust the certificate gets nowhere."""
    with MailSink(tls=certificate, login=LOGIN) as sink:
        with pytest.raises(ssl.SSLCertVerificationError):
            smtplib.SMTP_SSL(sink.host, sink.port, context=ssl.create_default_context())
        with smtplib.SMTP_SSL(sink.host, sink.port, context=trusting) as smtp:
            smtp.login(*LOGIN)
            send(smtp)
        assert (sink.mails[0].user, sink.mails[0].tls) == ("postmottak", True)


def test_a_login_is_required_and_checked(
    certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """No login is 530, a wrong password 535, and logging in is offered only after STARTTLS."""
    with MailSink(starttls=certificate, login=LOGIN) as sink, connected(sink) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        smtp.starttls(context=trusting)
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            send(smtp)
        assert refused.value.smtp_code == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("postmottak", "wrong")
        smtp.login(*LOGIN)
        send(smtp)
        assert sink.mails[0].user == "postmottak"


@pytest.mark.parametrize("code", [451, 550])
def test_one_recipient_can_be_refused(code: int) -> None:
    """The others get the mail, and the sender is told."""
    with MailSink() as sink, connected(sink) as smtp:
        sink.refuse(f"{code} not this one", recipient="b@example.no")
        refused = send(smtp)
        assert refused == {"b@example.no": (code, b"not this one")}
        assert sink.mails[0].recipients == ("a@example.no",)


@pytest.mark.parametrize("code", [451, 550])
def test_everybody_can_be_refused_until_it_is_over(code: int) -> None:
    """At the sender, at each recipient, or at the end of the mail; and then all is well again."""
    with MailSink() as sink:
        for stage, error in (
            ("MAIL", smtplib.SMTPSenderRefused),
            ("RCPT", smtplib.SMTPRecipientsRefused),
            ("DATA", smtplib.SMTPDataError),
        ):
            # a tuple's strings are no literals
            sink.refuse(f"{code} no", at=stage)  # type: ignore[arg-type]
            with connected(sink) as smtp, pytest.raises(error):
                send(smtp)
            sink.accept()
        with connected(sink) as smtp:
            send(smtp)
        assert len(sink.mails) == 1


def test_a_mail_that_is_too_large_is_refused() -> None:
    """552, by the limit that was announced."""
    with MailSink(size_limit=1000) as sink, connected(sink) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["size"] == "1000"
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            smtp.send_message(mail("x" * 2000))
        assert refused.value.smtp_code == 552


def test_it_ends_with_a_client_still_connected() -> None:
    """Leaving does not wait for a client that stays."""
    with MailSink() as sink:
        smtp = smtplib.SMTP(sink.host, sink.port, timeout=30)
        smtp.ehlo()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.noop()
    smtp.close()


def test_waiting_ends_when_nothing_comes() -> None:
    """A wait says so."""
    with MailSink() as sink:
        assert not sink.wait_for(1, timeout=0.05)
