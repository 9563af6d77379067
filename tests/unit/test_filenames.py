"""File names: whatever a sender wrote, the name that we use is harmless and recognisable."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath, PureWindowsPath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.filenames import MAX_LENGTH, folder_name, is_plain_name, safe_name

LETTER = UUID("0f9d2c1e-1111-5222-8333-444455556666")
NASTY = st.one_of(
    st.text(max_size=400),
    st.sampled_from(
        [
            "",
            ".",
            "..",
            "...",
            "/",
            "\\",
            "con",
            "CON.txt",
            "NUL",
            "com1.pdf",
            "a:b",
            "x.",
            " .pdf",
            "\0",
            "\ud800",
            "-" * 90,
        ]
    ),
    st.text(alphabet="./\\: \n\tæøåÆØÅ-_🎉é", max_size=120),
)
MEDIA = st.sampled_from(
    ["application/pdf", "application/octet-stream", "", "APPLICATION/PDF; name=x", "text/plain"]
)


@pytest.mark.parametrize(
    ("original", "media_type", "expected"),
    [
        ("Vedtak om merverdiavgift.pdf", "application/pdf", "001-vedtak-om-merverdiavgift.pdf"),
        ("FAKTURA.PDF", "application/pdf", "001-faktura.pdf"),
        ("Vedtak", "application/pdf", "001-vedtak.pdf"),
        ("Vedtak av 12. mars 2026", "Application/PDF; charset=x", "001-vedtak-av-12-mars-2026.pdf"),
        ("Vedtak", "text/plain", "001-vedtak"),
        ("Blåbærsyltetøy på Ærøy.docx", "x/y", "001-blabaersyltetoy-pa-aeroy.docx"),
        ("Čáhcesuolu gielda, Ŋ đ ŧ.xml", "text/xml", "001-cahcesuolu-gielda-n-d-t.xml"),
        ("résumé façade.txt", "text/plain", "001-resume-facade.txt"),
        ("../../etc/passwd", "text/plain", "001-etc-passwd"),
        (r"..\..\Windows\win.ini", "text/plain", "001-windows-win.ini"),
        ("CON.txt", "text/plain", "001-con.txt"),
        ("fil.pdf:strøm", "application/pdf", "001-fil-pdf-strom.pdf"),
        ("slutter med punktum.", "text/plain", "001-slutter-med-punktum"),
        ("🎉🎉.pdf", "application/pdf", "001-vedlegg.pdf"),
        ("", "application/octet-stream", "001-vedlegg"),
        (".pdf", "application/pdf", "001-vedlegg.pdf"),
        ("arkiv.tar.gz", "application/gzip", "001-arkiv-tar.gz"),
        ("versjon 1.2", "text/plain", "001-versjon-1-2"),
        ("pakke.7z", "application/x-7z-compressed", "001-pakke.7z"),
    ],
)
def test_examples(original: str, media_type: str, expected: str) -> None:
    """Names as senders write them become the names that the documentation promises."""
    assert safe_name(original, media_type, 1) == expected


def test_a_long_name_is_cut_before_its_suffix() -> None:
    """A name of 300 letters keeps its beginning and its suffix."""
    name = safe_name("a" * 300 + ".pdf", "application/pdf", 7)
    assert len(name) == MAX_LENGTH
    assert name.startswith("007-aaa")
    assert name.endswith("a.pdf")


@given(NASTY, MEDIA, st.integers(1, 1500))
def test_every_name_is_harmless(original: str, media_type: str, position: int) -> None:
    """Whatever was sent, the name is short, ASCII, one path component everywhere, visible, and no
    device."""
    name = safe_name(original, media_type, position)
    assert len(name) <= MAX_LENGTH
    assert re.fullmatch(r"[0-9]{3,}-[a-z0-9][a-z0-9-]*(\.[a-z0-9]{1,8})?", name)
    assert is_plain_name(name)
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name


@given(NASTY, NASTY, st.integers(1, 1500), st.integers(1, 1500))
def test_names_are_unique_in_their_letter(one: str, other: str, first: int, second: int) -> None:
    """Two attachments never share a name, not even where case does not count."""
    if first != second:
        assert (
            safe_name(one, "application/pdf", first).casefold()
            != safe_name(other, "application/pdf", second).casefold()
        )


@given(NASTY, MEDIA, st.integers(1, 1500))
def test_a_pdf_has_a_suffix(original: str, media_type: str, position: int) -> None:
    """A PDF never goes without a suffix, which watched folders go by."""
    if media_type.lower().startswith("application/pdf"):
        assert "." in safe_name(original, media_type, position)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".skjult",
        "a/b",
        "a\\b",
        "/a",
        "a:b",
        "a\0",
        "a\n",
        "å.pdf",
        "CON",
        "con.txt",
        "lpt9.tar.gz",
        "a.",
        "-rf",
        "a b",
    ],
)
def test_names_that_are_not_plain(name: str) -> None:
    """A path, a hidden file, a device and everything outside ASCII are told from a plain name."""
    assert not is_plain_name(name)


@pytest.mark.parametrize(
    "name", ["message.json", "SHA256SUMS", "body.md", "001-con.txt", "console.txt"]
)
def test_names_that_are_plain(name: str) -> None:
    """The names that a drop consists of are plain."""
    assert is_plain_name(name)


def test_folder_name() -> None:
    """A folder is named for its time in UTC, service, sender and message, whatever zone the time
    was given in."""
    moment = datetime(2026, 3, 12, 10, 46, 5, tzinfo=timezone(timedelta(hours=1)))
    name = folder_name(
        published_at=moment, service="4255/8", sender="974761076", message_id=LETTER, generation=1
    )
    assert name == "20260312-094605_4255-8_974761076_0f9d2c1e"


def test_folder_name_of_a_later_generation_and_an_unknown_sender() -> None:
    """A letter sent again on purpose gets a folder of its own; a missing sender is `ukjent`."""
    moment = datetime(2026, 3, 12, tzinfo=UTC)
    name = folder_name(
        published_at=moment, service="5504/1", sender=None, message_id=LETTER, generation=2
    )
    assert name == "20260312-000000_5504-1_ukjent_0f9d2c1e-g2"


@given(
    NASTY,
    NASTY,
    st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.uuids(),
    st.integers(1, 99),
)  # hypothesis wants the bound without a zone
def test_every_folder_name_is_harmless(
    service: str, sender: str, moment: datetime, message: UUID, generation: int
) -> None:
    """A service or sender that is not what it should be cannot make a folder leave its drop."""
    name = folder_name(
        published_at=moment,
        service=service,
        sender=sender,
        message_id=message,
        generation=generation,
    )
    assert is_plain_name(name)
    assert len(name) <= MAX_LENGTH
