"""Headers with people's words: what a reader decodes is what was written, on every version of
Python and through a real server."""

from __future__ import annotations

import email
import email.header
import email.policy
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.destinations.smtp import Mail, Settings
from connectors.mail.headers import MAIL, folded_text, header_text
from connectors.mail.subjects import fill
from connectors.sandbox.sinks.mail import MailSink, ReceivedMail
from daemon.core.filenames import safe_name
from daemon.core.ports import Notification, Parcel

MakeParcel = Callable[..., Parcel]
SLOW = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
]  # the fixture is a plain function
_WORDS = (
    "Vedtak",
    "støtte",
    "til",
    "Sør-Østerdal",
    "Øvre",
    "om",
    "=?utf-8?q?x?=",
    "?=",
    "1. mars",
    "№",
    "🎉",
    "e\u0301",
    "Čáhput",
    "x" * 90,
    ",",
)
_BLANKS = (" ", " ", " ", "  ", "\u00a0", "\u3000", "\t", "", "\u00ad")
titles = st.one_of(
    st.text(max_size=200),
    st.text("abå =?_\"'\\<>@,;:\u00a0\u2028\u0085\r\n\x00", max_size=120),
    st.lists(
        st.tuples(st.sampled_from(_WORDS), st.sampled_from(_BLANKS)).map("".join), max_size=20
    ).map("".join),
)


def as_old_readers_decode(raw: bytes, name: str) -> str:
    """The header by Python's first, forgiving decoder, which knows no policy."""
    value = email.message_from_bytes(raw, policy=email.policy.compat32)[name]
    pieces = email.header.decode_header(re.sub(r"\r?\n", "", str(value)))
    return "".join(
        piece.decode(charset or "ascii") if isinstance(piece, bytes) else piece
        for piece, charset in pieces
    )


def assert_reads_as(raw: bytes, name: str, text: str) -> None:
    lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert all(len(line) <= 76 for line in lines if b"=?" in line)
    assert all(
        len(word) <= 75 for line in lines for word in re.findall(rb"=\?[^?]*\?[bq]\?[^?]*\?=", line)
    )
    assert b"?==?" not in raw.partition(b"\r\n\r\n")[0]
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed[name] == text
    assert not parsed[name].defects
    assert as_old_readers_decode(raw, name) == text


@given(titles)
@example(" ")
@example("  Vedtak  om støtte ")
@example("Vedtak om støtte til Sør-Østerdal Øvre og Nedre Romerike interkommunale selskap")
@example("Tilbakebetaling " * 9)
@example("\udce5")
@settings(max_examples=200, deadline=None)
def test_what_is_decoded_is_what_was_written(title: str) -> None:
    """Any title comes back with all its blanks, in words and lines as short as RFC 2047 wants them,
    and makes one header."""
    text = header_text(title)
    if not text.strip(" "):
        return  # no header has such a value
    raw = (
        folded_text("Subject", title if title == text else text).encode("ascii")
        + b"X-Next: 1\r\n\r\n"
    )
    assert_reads_as(raw, "Subject", text)
    assert email.message_from_bytes(raw).keys() == ["Subject", "X-Next"]


@given(st.text(max_size=60))
def test_only_what_no_header_can_hold_is_replaced(title: str) -> None:
    """Line breaks and control characters are blanks; every other character of a title stays."""
    assert header_text(title) == re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", title)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_other_versions_of_python_read_the_same(version: str, tmp_path: Path) -> None:
    """The readers of every version of Python that is on this machine decode the same words."""
    text = "Vedtak om  støtte til Sør-Østerdal Øvre, =?utf-8?q?x?= " * 4
    mail = tmp_path / "mail.eml"
    mail.write_bytes(folded_text("Subject", text).encode() + b"\r\n")
    script = (
        "import email, email.policy, sys; m = email.message_from_bytes(open(sys.argv[1], "
        "'rb').read(), policy=email.policy.default)"
    )
    try:
        done = subprocess.run(
            [f"python{version}", "-c", f"{script}; print(ascii(str(m['Subject'])))", str(mail)],
            capture_output=True,
            check=False,
            timeout=60,
        )
    except FileNotFoundError:
        pytest.skip(f"there is no Python {version} here")
    if done.returncode == 127:
        pytest.skip(f"there is no Python {version} here")
    assert done.stdout.decode().strip() == ascii(text)


@pytest.fixture(name="server", scope="module")
def mail_server() -> Iterator[MailSink]:
    """One for all examples: its start takes longer than a mail."""
    with MailSink() as sink:
        yield sink


@contextmanager
def one_mail(server: MailSink) -> Iterator[list[ReceivedMail]]:
    """The mail that comes in the block, once that has ended."""
    before, found = len(server.mails), list[ReceivedMail]()
    yield found
    found += server.mails[before:]
    assert len(found) == 1


@given(title=titles, name=st.text(max_size=100))
@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
def test_a_title_comes_through_a_mail_server(
    server: MailSink, make_parcel: MakeParcel, title: str, name: str
) -> None:
    """Through a real SMTP hop the subject is the title, the attachment has its safe name, and
    nobody else is written to."""
    with one_mail(server) as mails:
        mail_by(server, subject="{title}").deliver(make_parcel(title=title, files={name: b"x"}))
    (mail,) = mails
    text = header_text(title)
    if (
        text.isspace()
        or not text
        or not any(letter.isprintable() and letter != " " for letter in text)
    ):
        assert mail.message["Subject"] == "(uten tittel)"
    else:
        assert_reads_as(mail.raw, "Subject", text)
    assert mail.message["To"] == "regnskap@example.no"
    assert mail.message["Bcc"] is None
    (part,) = mail.message.iter_attachments()
    assert part.get_filename() == safe_name(name, "application/octet-stream", 1)
    old = email.message_from_bytes(mail.raw, policy=email.policy.compat32)
    assert [each.get_filename() for each in old.walk() if each.get_filename()] == [
        part.get_filename()
    ]


@given(titles)
@settings(max_examples=25, deadline=None)
def test_an_alert_comes_through_a_mail_server(server: MailSink, subject: str) -> None:
    """The subject of an alert, which may name anything that the configuration does, is read as it
    was written."""
    text = header_text(f"Postmottak: {subject}")
    alert = Notification(
        id=UUID(int=1),
        kind="x",
        ended=False,
        critical=True,
        subject=text,
        text="x",
        at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    with one_mail(server) as mails:
        mail_by(server).notify(alert)
    (mail,) = mails
    assert_reads_as(mail.raw, "Subject", text)


def mail_by(server: MailSink, **settings: Any) -> Mail:
    known: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "security": "none",
        "sender": "postmottak@example.no",
    }
    return Mail("epost", Settings(**(known | {"recipients": ("regnskap@example.no",)} | settings)))


_LOCAL = st.from_regex(r"[a-z0-9+_-]{1,32}(\.[a-z0-9+_-]{1,20})?", fullmatch=True)


@given(
    st.lists(
        st.builds("{}@{}.no".format, _LOCAL, st.from_regex(r"[a-z0-9]{1,60}", fullmatch=True)),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=40, deadline=None)
def test_addresses_come_back(addresses: list[str]) -> None:
    """Any number of addresses of any length are the same addresses again after folding."""
    mail = EmailMessage(policy=MAIL)
    mail["From"], mail["To"] = addresses[0], ", ".join(addresses)
    read = email.message_from_bytes(mail.as_bytes(), policy=email.policy.default)
    assert [each.addr_spec for each in read["To"].addresses] == addresses
    assert read["From"] == addresses[0]


@pytest.mark.parametrize("address", [".post@example.no", "post.@example.no", "a..b@example.no"])
def test_an_address_that_python_cannot_read(
    server: MailSink, make_parcel: MakeParcel, address: str
) -> None:
    """An address with a dot where Python expects none is written to like any other."""
    with one_mail(server) as mails:
        mail_by(server, recipients=("regnskap@example.no", address)).deliver(make_parcel())
    (mail,) = mails
    assert f"To: regnskap@example.no,\r\n {address}\r\n".encode() in mail.raw


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{reference} {title}", {"reference": "", "title": " a  b "}, " a  b "),
        ("{title} {reference}", {"reference": "", "title": "a"}, "a"),
        ("{title} ({reference}) slutt", {"reference": "", "title": "a"}, "a () slutt"),
        ("[{service}]  {title}", {"service": "1", "title": "a\nb"}, "[1] a b"),
        ("{reference} {service} {title}", {"reference": "", "service": "", "title": "a"}, "a"),
    ],
)
def test_a_template_adds_no_blanks(template: str, values: dict[str, str], expected: str) -> None:
    """A value keeps its blanks; those that a template has around an empty one are left out."""
    assert fill(template, values) == expected
