"""Letters that mix Markdown and HTML: readable as plain text, as HTML and as a PDF, with every
word, and still harmless."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from html import unescape
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.altinn3.envelope import body_type
from connectors.drops.formats.letter_pdf import render_letter
from connectors.parcel.render import html_letter, plain_letter
from daemon.core.html_to_text import readable_text
from daemon.core.markup import to_html
from daemon.core.ports import Parcel
from daemon.core.safe_html import safe_html

MakeParcel = Callable[..., Parcel]
BLOCKS = (
    "{} {}",
    "Hei<br/><br/>{}: <b>{}</b>",
    "**{}** og __{}__",
    "<b>{}</b><br>**{}**",
    "# {}\n{}",
    "- {}\n- {}",
    "1. {}\n2. {}",
    "<ul>\n  <li>{}</li>\n  <li>**{}**</li>\n</ul>",
    "<ol><li>{}<li>{}</ol>",
    "<table>\n  <tr>\n    <td>{}</td>\n    <td><b>{}</b></td>\n  </tr>\n</table>",
    "<table><tr><th><p>{}</p></th></tr><tr><td>- {}</td></tr></table>",
    "| {} | {} |\n|---|---|\n",
    "<p>{} **{}**</p>",
    "<p>\n- {}\n- {}\n</p>",
    "<div style='color: red'>\n\n{}\n\n- {}\n\n</div>",
    "<h2>{}</h2>{}",
    "> {}\n> {}",
    "<blockquote>{}</blockquote>\n{}",
    "&aring;{}&nbsp;{}",
    "<!-- ikke vis\n\ndette -->{}\n{}",
    "<font face=Arial size=2>{}</font><span class='x'>{}</span>",
    "<a href=https://a.example/?b=c>{}</a> [{}](https://a.example/d)",
    "<p class=MsoNormal>{}<o:p></o:p></p><![if !supportLists]>{}<![endif]>",
    "```\n{}\n{}\n```",
    "<pre>{}\n  {}</pre>",
)
bodies = st.tuples(
    st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=6),
    st.sampled_from(("\n\n", "\n\n", "\r\n\r\n", "\n \n")),
).map(lambda drawn: drawn[1].join(drawn[0]))


def filled(pattern: str) -> tuple[str, list[str]]:
    """The body, and its words in their order."""
    numbers = count(1)
    words: list[str] = []

    def word(_: re.Match[str]) -> str:
        words.append(f"ord{next(numbers)}x")
        return words[-1]

    return re.sub(r"\{\}", word, pattern), words


def pdf_text(pdf: bytes) -> str:
    streams = [
        zlib.decompressobj().decompress(found)
        for found in re.findall(rb"stream\r?\n(.*?)\nendstream", pdf, re.DOTALL)
        if found[:1] == b"x"
    ]
    strings = re.findall(rb"\((.*?)(?<!\\)\) Tj", b"\n".join(streams), re.DOTALL)
    return "\n".join(re.sub(rb"\\(.)", rb"\1", each).decode("cp1252") for each in strings)


def assert_in_order(words: Iterable[str], text: str) -> None:
    place = 0
    for word in words:
        found = text.find(word, place)
        assert found >= 0, (word, text)
        place = found + len(word)


@given(bodies)
@example("Hei<br/><br/>{}: <b>{}</b>")
@example("- {}\n- {}\n\n<table><tr><td>{}</td></tr></table>\n\n- {}\n- {}")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_mixed_letter_is_readable_in_every_form(make_parcel: MakeParcel, pattern: str) -> None:
    """Each form has all the words in their order, and no markup of either kind is left over for a
    reader to see."""
    pytest.importorskip("fpdf", reason="fpdf2 is not installed")
    body, words = filled(pattern)
    parcel = make_parcel(body=body, body_type=body_type(body), files={})
    html = html_letter(parcel)
    assert html is not None
    on_screen = unescape(re.sub(r"<[^<>]*>", " ", html))
    for text in (
        plain_letter(parcel).split("-" * 60)[1],
        on_screen,
        pdf_text(render_letter(parcel)),
    ):
        assert_in_order(words, text)
        assert not re.search(
            r"\*\*|__|</?(?:b|p|br|td|tr|table|ul|li|div|font|span|o:p|h2)\b|"
            r"\|-|&\w+;|```|ikke vis|endif",
            text,
        )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Hei<br/><br/>Frist: <b>1. mars</b>", "Hei\n\nFrist: 1. mars"),
        (
            "Til:\n\n- a\n- b\n\n<table><tr><td>1</td><td>2</td></tr></table>\n\n- c\n  - d",
            "Til:\n\n- a\n- b\n\n1 2\n\n- c\n  - d",
        ),
        ("<table><tr><td>Saldo</td><td>- 5 000</td></tr></table>", "Saldo - 5 000"),
        (
            "<table><tr><td><p>1</p></td><td><p>2</p></td></tr><tr><td>3</td></tr></table>",
            "1 2\n\n3",
        ),
        ("<p>1. mars er fristen</p>", "1. mars er fristen"),
        ("**Vedtak**\n\n12. mars kom\n13. april gikk", "Vedtak\n\n12. mars kom\n13. april gikk"),
        ("*Hei*\n> 18 år", "Hei\n\n> 18 år"),
        ("Skriv <navn> til <post@example.no> **nå**", "Skriv <navn> til post@example.no nå"),
        ("*a* 3 < 4 og 5 > 4 <!-- b", "a 3 < 4 og 5 > 4 <!-- b"),
        ("**Dokumentet** <title> mangler", "Dokumentet <title> mangler"),
        ("*Hilsen*\nSkatteetaten\nPostboks 9200", "Hilsen\nSkatteetaten\nPostboks 9200"),
        ("**Kart:** <img src=x alt='Ås sentrum'>", "Kart: Ås sentrum"),
        ("<ol start=3><li>a<li><p>b</p></ol>", "3. a\n4. b"),
        (
            (
                "<form><select><option>a<option>b</select></form>"
                "<address>c</address><address>d</address>"
            ),
            "a\n\nb\n\nc\n\nd",
        ),
        ("<pre>a\n   b</pre>", "a\n   b"),
        ("`<b>` **x**", "<b> x"),
    ],
)
def test_what_a_reader_of_plain_text_gets(
    make_parcel: MakeParcel, body: str, expected: str
) -> None:
    """Lists, tables, numbers, signs and line breaks say what they say, whichever way they were
    written."""
    text = (
        plain_letter(make_parcel(body=body, body_type=body_type(body))).split("-" * 60)[1].strip()
    )
    assert re.sub(r"\n+", "\n", text) == re.sub(r"\n+", "\n", expected)


def test_a_letter_without_markup_is_left_alone(make_parcel: MakeParcel) -> None:
    """Columns that were aligned with blanks and tabs stay aligned in the plain form."""
    body = "Beløp:\t 1 000\nMVA:      250\n\n- a\n- b"
    assert f"\n{body}\n" in plain_letter(make_parcel(body=body))


def test_a_summary_is_read_like_a_text(make_parcel: MakeParcel) -> None:
    """A summary has its markup taken from it too, and is not said twice because only one of the two
    has any."""
    parcel = make_parcel(summary="**Kort** sagt<br/>ja", body="Nei\n")
    assert "Kort sagt\nja\n\nNei" in plain_letter(parcel)
    assert "<strong>Kort</strong> sagt<br>ja" in (html_letter(parcel) or "")
    assert (
        plain_letter(make_parcel(summary="**Kort** sagt", body="Kort sagt: ja\n")).count("Kort")
        == 1
    )


@pytest.mark.parametrize(
    "piece",
    [
        "<x>",
        "<x></x>",
        "<!--",
        "<![CDATA[",
        "<?a",
        "<!A",
        "<pre>",
        "<script>",
        "<o:p>",
        "<blockquote>a",
        "<a b='",
        "<td>-  b",
        "`",
        "`<b>",
        "<td>\n|a|",
        "<img alt=",
        "a<b",
        "<b>**a",
        "- a\n\n",
    ],
)
@pytest.mark.timeout(60)
def test_mixed_text_does_not_hold_a_worker(piece: str) -> None:
    """A text that mixes both to be slow is read in a bearable time."""
    text = piece * (100_000 // len(piece))
    for kind in ("text/html", "text/markdown"):
        html = safe_html(text, kind)
        assert html is not None
        readable_text(html)


@given(st.text(alphabet="<>[]()!*_`#/abp \n&;-\"'=|:1.", max_size=80), st.booleans())
def test_no_mixture_is_too_odd(text: str, is_html: bool) -> None:
    """Any text at all is read, and what comes of it is harmless once it is cleaned."""
    assert isinstance(to_html(text, is_html=is_html), str)
    tags = re.findall(
        r"<([^>]*)>", safe_html(text, "text/html" if is_html else "text/markdown") or ""
    )
    assert not [tag for tag in tags if re.search(r"\bon\w+=|src|style|script|img", tag)]
