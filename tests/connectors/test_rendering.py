"""A letter as a person reads it: nothing of its words is lost, and nothing of its markup is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.html_text import readable_text
from connectors.rendering import one_line, plain_letter, size_text, subject
from daemon.model import KEPT_STATES, PartState
from daemon.ports import Parcel

MakeParcel = Callable[..., Any]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("ren tekst", "ren tekst"),
        ("<p>Én</p><p>To<br>tre</p>", "Én\n\nTo\ntre"),
        ("<h1>Vedtak</h1>tekst", "Vedtak\n\ntekst"),
        ("<ul><li>a<li>b</ul>c", "- a\n- b\n\nc"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><th>3</th></tr></table>", "1 2\n3"),
        ("a&nbsp;&lt;b&gt; &aring; &#127881;", "a <b> å 🎉"),
        ("<a href='https://a.example/x'>her</a>", "her <https://a.example/x>"),
        ("<a href='https://a.example'>https://a.example</a>", "https://a.example"),
        ("<a href='mailto:a@example.no'>a@example.no</a>", "a@example.no"),
        ("<a href='javascript:x()'>her</a>", "her"),
        ("<a name=x>her</a></a>", "her"),
        ("<style>p{}</style><script>x()</script><title>t</title>synlig", "synlig"),
        ("<head><meta charset=utf-8><body>head er ikke lukket", "head er ikke lukket"),
        ("<p>uferdig <b>fet", "uferdig fet"),
        ("<!-- skjult --><![CDATA[x]]>synlig", "synlig"),
        ("<![if !supportLists]>1.<![endif]> <![ukjent[ synlig", "1. <![ukjent[ synlig"),
        ("a<!-- b <!-- c > d --> e<!-- f", "a e"),
        ("3 < 4 & 5", "3 < 4 & 5"),
        ("  mange \n\n mellomrom\t her ", "mange mellomrom her"),
    ],
)
def test_html_as_text(html: str, expected: str) -> None:
    """HTML as senders write it, whole or broken, reads as it would on a screen."""
    assert readable_text(html) == expected


@given(st.text(alphabet="<>[]/abp &;!-\"'=", max_size=80))
def test_no_html_is_too_broken(html: str) -> None:
    """No text, however broken as HTML, stops a letter."""
    assert isinstance(readable_text(html), str)


@pytest.mark.parametrize("piece", ["<a ", "<a b='", "<!", "<!--", "<!-- x>", "</", "<![x", "&", "<a>", '<a b=">', "<script>", "<p"])
@pytest.mark.timeout(20)
def test_broken_html_does_not_hold_a_worker(piece: str) -> None:
    """A big body made to keep a parser busy is read in the time of any other body."""
    readable_text(piece * 100_000)


@given(st.text(max_size=80))
def test_a_header_is_one_line(text: str) -> None:
    """Nothing of what a sender can write breaks a header."""
    line = one_line(text)
    assert line == "" or line.isprintable()
    line.encode()


def test_a_letter_without_a_title_has_a_subject(make_parcel: MakeParcel) -> None:
    """A letter without a title is told by its service, and says that it has none."""
    for title in ("", " \n"):
        assert subject(make_parcel(title=title).document) == "[4255/8] (uten tittel)"


@pytest.mark.parametrize("state", sorted(PartState))
def test_every_state_of_an_attachment_has_words(make_parcel: MakeParcel, state: PartState) -> None:
    """Whatever has happened to an attachment, the letter says so."""
    parcel: Parcel = make_parcel()
    file = parcel.document.files[0].model_copy(update={"state": state})
    parcel = replace(parcel, document=parcel.document.model_copy(update={"files": (file,)}))
    line = next(line for line in plain_letter(parcel).splitlines() if line.startswith("- 001-"))
    assert ("mangler, " in line) == (state not in KEPT_STATES)
    assert ("sjekksum" in line) == (state is PartState.CHECKSUM_FAILED)


def test_a_letter_with_little_in_it(make_parcel: MakeParcel) -> None:
    """A letter without text, attachments and sender's name still reads well."""
    text = plain_letter(make_parcel(files={}, body="", sender_name="", sender_org=None, sender_reference=""))
    assert "Avsender:      ukjent\n" in text
    assert "Ingen vedlegg." in text
    assert "(Brevet har ingen tekst.)" in text
    assert "Referanse" not in text


def test_a_summary_is_not_said_twice(make_parcel: MakeParcel) -> None:
    """A summary that the text begins with is left out."""
    text = plain_letter(make_parcel(summary="Kort sagt", body="Kort sagt: ja\n"))
    assert text.count("Kort sagt") == 1


def test_control_characters_do_not_reach_the_reader(make_parcel: MakeParcel) -> None:
    """A letter's text cannot command a terminal; its tabs and line breaks stay."""
    text = plain_letter(make_parcel(body="a\x1b[2Jb\x00\r\nc\td"))
    assert "a[2Jb\nc\td" in text


@pytest.mark.parametrize(("size", "words"), [(0, "0,0 kB"), (12_345, "12,3 kB"), (1_000_000, "1,0 MB"), (31_440_000, "31,4 MB")])
def test_sizes(size: int, words: str) -> None:
    """Sizes are written as Norwegians write them."""
    assert size_text(size) == words
