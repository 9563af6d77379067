"""File names: whatever a sender wrote, the name that we use is harmless and recognisable."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.filenames import MAX_LENGTH, is_plain_name, safe_name, short_id, slug

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4255/8", "4255-8"),
        ("974761076", "974761076"),
        ("", "ukjent"),
        ("__/..", "ukjent"),
        ("Sør-Varanger kommune, avd. 2", "sor-varanger-kommune"),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    """A slug is recognisable, short and never empty."""
    assert slug(text) == expected


@given(NASTY)
def test_every_slug_is_harmless(text: str) -> None:
    """Whatever the text, a slug is a plain name without an underscore, and the same for itself."""
    assert is_plain_name(f"x_{slug(text)}")
    assert "_" not in slug(text)
    assert 0 < len(slug(text)) <= 20
    assert slug(slug(text)) == slug(text)


def test_short_id() -> None:
    """A letter's short id is the beginning of its id."""
    assert short_id(LETTER) == "0f9d2c1e"
