"""The mail server: nothing unverified, no password in the clear or in words, and settings that are
checked when they are read."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from connectors.destinations.smtp import Settings, connect
from connectors.sandbox.sinks.mail import MailSink, Stage
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.core.settings import Secret
from tests.connectors.mail_tools import MakeParcel, mail_to

PASSWORD = "correct-horse-battery"


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
        ("RCPT", "552 mailbox-is-full", TemporaryFailure),
        ("MAIL", "", TemporaryFailure),
        ("RCPT", "450 greylisted", TemporaryFailure),
        ("RCPT", "550 unknown", PermanentFailure),
        ("DATA", "451 busy-now", TemporaryFailure),
        ("DATA", "554 never-this", PermanentFailure),
        (".", "452 disk full", TemporaryFailure),
        (".", "554 looks like spam", PermanentFailure),
        (".", "", TemporaryFailure),
        (".", "nonsense", TemporaryFailure),
    ],
)
def test_what_a_refusal_means(
    servers: Any, make_parcel: MakeParcel, command: str, answer: str, kind: type[DeliveryFailure]
) -> None:
    """Each stage's refusal is temporary or permanent as its status says; what the operator can fix
    waits; none shows the letter."""
    server = servers.mail()
    server.script[command] = answer
    with pytest.raises(kind) as caught:
        mail_to(server).deliver(make_parcel(title="hemmelig tittel"))
    assert "hemmelig" not in str(caught.value)
    assert not answer[4:] or answer[4:] not in str(caught.value)


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
def test_encrypted_and_logged_in(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path, security: str
) -> None:
    """Over TLS from the start or by STARTTLS, with a certificate of an own authority, the password
    is sent only when encrypted."""
    server = servers.mail(**{security: server_tls})
    secret = Secret(Path("mail.secret"), PASSWORD)
    destination = mail_to(
        server, security=security, ca_file=ca_file, username="ola", password_file=secret
    )
    destination.deliver(make_parcel())
    assert len(server.mails) == 1
    if security == "starttls":
        assert server.commands.index("STARTTLS") < next(
            place for place, each in enumerate(server.commands) if each.startswith("AUTH")
        )


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_unknown_certificate_is_refused(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, security: str
) -> None:
    """A server whose certificate the system does not know gets nothing, and the remedy is said."""
    server = servers.mail(**{security: server_tls})
    with pytest.raises(TemporaryFailure, match=r"certificate cannot be verified .* ca_file"):
        mail_to(server, security=security).deliver(make_parcel())
    assert server.mails == []


def test_a_server_with_another_name_is_refused(
    servers: Any, make_parcel: MakeParcel, authority: trustme.CA, ca_file: Path
) -> None:
    """A valid certificate for another name is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("annen.example.no").configure_cert(context)
    server = servers.mail(tls=context)
    with pytest.raises(TemporaryFailure, match="certificate cannot be verified"):
        mail_to(server, security="tls", ca_file=ca_file).deliver(make_parcel())


def test_no_starttls_means_no_mail(servers: Any, make_parcel: MakeParcel) -> None:
    """A server, or somebody in between, that leaves out STARTTLS does not get the letter
    unencrypted."""
    server = servers.mail()
    with pytest.raises(TemporaryFailure, match="offers no STARTTLS"):
        mail_to(server, security="starttls").deliver(make_parcel())
    assert not any(command.startswith("mail") for command in server.commands)


def test_a_server_without_tls_is_said_to_be_one(servers: Any, make_parcel: MakeParcel) -> None:
    """TLS to a port that speaks none is a failure for now, in words that an operator can use."""
    with pytest.raises(TemporaryFailure, match="no encrypted connection could be made"):
        mail_to(servers.mail(), security="tls").deliver(make_parcel())


def test_a_server_without_log_in_is_said_to_be_one(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path
) -> None:
    """A server that does not know how to log anybody in gets no letter from one who must."""
    server = servers.mail(tls=server_tls)
    for features in ("250 scripted", "250-scripted\r\n250 AUTH GSSAPI"):
        server.script["EHLO"] = features
        destination = mail_to(
            server,
            security="tls",
            ca_file=ca_file,
            username="ola",
            password_file=Secret(Path("mail.secret"), PASSWORD),
        )
        with pytest.raises(TemporaryFailure, match="no supported way to log in"):
            destination.deliver(make_parcel())
    assert server.mails == []


@pytest.mark.parametrize("answer", ["535 wrong", "535 " + PASSWORD, "454 later", ""])
def test_a_refused_log_in_waits_for_the_operator(
    servers: Any, make_parcel: MakeParcel, server_tls: ssl.SSLContext, ca_file: Path, answer: str
) -> None:
    """A wrong password is fixed by the operator, so the letter waits; the password is not in what
    is said."""
    server = servers.mail(tls=server_tls)
    server.script["AUTH"] = answer
    destination = mail_to(
        server,
        security="tls",
        ca_file=ca_file,
        username="ola",
        password_file=Secret(Path("mail.secret"), PASSWORD),
    )
    with pytest.raises(TemporaryFailure) as caught:
        destination.deliver(make_parcel())
    findings = list(destination.check())
    assert [finding.ok for finding in findings] == [False]
    assert (
        PASSWORD
        not in f"{caught.value}{caught.value!r}{findings}{destination!r}{destination._settings!r}"
    )


def test_check_sends_nothing(servers: Any) -> None:
    """A check connects, says who it is and leaves, and says what it has not proven."""
    server = servers.mail()
    findings = list(mail_to(server).check())
    assert [finding.ok for finding in findings] == [True]
    assert "no mail was sent" in findings[0].text
    assert '"[4255/8] Vedtak om merverdiavgift"' in findings[0].text
    said = [command.split()[0].upper() for command in server.commands]
    assert said == ["EHLO", "NOOP", "MAIL", "RCPT", "RSET", "QUIT"]


@pytest.mark.parametrize(
    ("stage", "status"), [("MAIL", "status 530"), ("RCPT", "refuses a@example.no")]
)
def test_a_server_that_wants_a_login(stage: Stage, status: str) -> None:
    """A check fails where the server demands a log-in, wherever in a mail it says so."""
    with MailSink(login=("ola", PASSWORD), login_at=stage) as sink:
        (found,) = mail_to(sink, recipients=["a@example.no"]).check()
        assert not found.ok
        assert status in found.text
        assert "write username and password_file" in found.text
        assert sink.mails == ()


def test_a_server_that_may_want_a_login() -> None:
    """Without a recipient of its own to ask about, a log-in that is offered is warned of."""
    with MailSink(login=("ola", PASSWORD), login_at="RCPT") as sink:
        findings = list(mail_to(sink, recipients=[]).check())
        assert [(each.ok, each.warning) for each in findings] == [(True, False), (True, True)]
        assert "offers a log-in, and none is configured" in findings[1].text
    with MailSink() as sink:
        assert [each.warning for each in mail_to(sink).check()] == [False]


GOOD = {"host": "smtp.example.no", "sender": "a@example.no", "recipients": ["b@example.no"]}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "smtp://x"}, "is not a valid host name"),
        ({"host": "a..b"}, "is not a valid host name"),
        ({"sender": "Postmottak <a@example.no>"}, "is not a valid e-mail address"),
        ({"sender": "a@example.no\r\nRCPT TO:<x@y.no>"}, "is not a valid e-mail address"),
        ({"recipients": ["blåbær@example.no"]}, "is not a valid e-mail address"),
        ({"subject": "{tittel}"}, "has an unknown placeholder: {tittel}"),
        ({"subject": "{title.__class__}"}, "has an unknown placeholder"),
        ({"subject": "{title!r}"}, "has an unknown placeholder"),
        ({"subject": "{title:>9}"}, "has an unknown placeholder"),
        ({"subject": "{}"}, "has an unknown placeholder"),
        ({"subject": "{title"}, "is not a valid template"),
        ({"subject": " "}, "makes an empty subject"),
        ({"language": "nn"}, "should be 'nb' or 'en'"),
        ({"timeout": "0s"}, "longer than zero"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"username": "ola"}, "one of username and password_file"),
        ({"username": "ola", "password_file": "secret", "security": "none"}, "unencrypted"),
        ({"username": "ola", "password_file": "norsk"}, "outside ASCII"),
        ({"ca_file": "secret"}, "holds no certificate in PEM"),
        ({"ca_file": "missing.pem"}, "holds no certificates that can be used"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    """A mistake in the settings is found when they are read, and the password is not in what is
    said."""
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
    assert (
        settings.port,
        settings.security,
        settings.ca_file,
        settings.timeout.total_seconds(),
    ) == (587, "starttls", None, 30)
    assert settings.password_file is not None
    assert settings.password_file.value == PASSWORD
    assert Settings.model_validate(GOOD | {"ca_file": str(ca_file)}).ca_file == ca_file
    connect("regnskap-epost", settings).close()
