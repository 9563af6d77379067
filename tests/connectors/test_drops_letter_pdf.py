"""The rendering of a letter: readable, the same every time, and never a reason for a letter not to
come."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.drops.formats.letter_pdf import render_letter
from daemon.core.pdf_pages import shown
from daemon.core.ports import Parcel

pytest.importorskip("fpdf", reason="fpdf2 is not installed")
MakeParcel = Callable[..., Parcel]


def text_of(pdf: bytes) -> str:
    """What the PDF shows, as far as these simple pages need: the strings that its content streams
    draw."""
    streams = [
        zlib.decompressobj().decompress(found)
        for found in re.findall(rb"stream\r?\n(.*?)\nendstream", pdf, re.DOTALL)
        if found[:1] == b"x"
    ]
    strings = re.findall(rb"\((.*?)(?<!\\)\) Tj", b"\n".join(streams), re.DOTALL)
    return " ".join(re.sub(rb"\\(.)", rb"\1", each).decode("cp1252") for each in strings)


def test_it_says_what_is_known_and_what_is_written(make_parcel: MakeParcel) -> None:
    """Title, sender, deadline, attachments and text are there, with Norwegian letters and
    typographic signs as they are."""
    parcel = make_parcel(
        title="Årsoppgjør",
        body="Blåbærsyltetøy \u2013 «så godt» … 100 €\n",
        due_at=datetime(2026, 4, 1, 12, tzinfo=UTC),
    )
    text = text_of(render_letter(parcel))
    for words in (
        "Årsoppgjør",
        "Skatteetaten (974761076)",
        "01.04.2026",
        "001-vedtak-om-mva.pdf",
        "Blåbærsyltetøy \u2013 «så godt» … 100 €",
    ):
        assert words in text
    assert "er erstattet" not in text


def test_html_is_read_as_text(make_parcel: MakeParcel) -> None:
    """A letter in HTML has its paragraphs, and no tags and no scripts."""
    text = text_of(
        render_letter(
            make_parcel(
                body="<p>Hei</p><script>ondt()</script><p>på deg</p>", body_type="text/html"
            )
        )
    )
    assert "Hei" in text
    assert "på deg" in text
    assert "<p>" not in text
    assert "ondt" not in text


def test_letters_that_cannot_be_shown_are_replaced_and_that_is_said(
    make_parcel: MakeParcel,
) -> None:
    """Sámi letters lose their marks, others become question marks, and the reader is told."""
    text = text_of(render_letter(make_parcel(title="Čáhput đŋŧ", body="Привет 🎉\n")))
    assert "Cáhput dnt" in text
    assert "?????? ?" in text
    assert "er erstattet" in text


def test_what_can_be_shown_stays() -> None:
    """Everything of Windows-1252 is left alone; of the rest the nearest letter is taken."""
    assert shown("æøå ÆØÅ é € \u2013 «»") == "æøå ÆØÅ é € \u2013 «»"
    assert shown("e\u0301ž\u0111") == "ežd"
    assert shown("№ 漢") == "No ?"


def test_the_same_letter_gives_the_same_bytes(make_parcel: MakeParcel) -> None:
    """Nothing in it depends on when, or how often, it is made."""
    assert render_letter(make_parcel()) == render_letter(make_parcel())


@given(title=st.text(), body=st.text(), html=st.booleans())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # the fixture is a plain function
def test_no_letter_is_too_odd(make_parcel: MakeParcel, title: str, body: str, html: bool) -> None:
    """Any characters at all make a PDF."""
    parcel = make_parcel(title=title, body=body, body_type="text/html" if html else "text/markdown")
    assert render_letter(parcel).startswith(b"%PDF-")


@pytest.mark.parametrize(
    "body", ["x" * 20_000, "linje\n" * 3_000, "\t" * 500 + "innrykk", "\u202eabc\u200d\n"]
)
def test_nor_too_long(make_parcel: MakeParcel, body: str) -> None:
    """A word that is longer than a page, and more pages than anybody reads, are laid out all the
    same."""
    assert render_letter(make_parcel(body=body)).rstrip().endswith(b"%%EOF")
