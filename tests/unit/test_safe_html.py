"""A letter's text, made harmless and readable: what every form in which it is shown stands on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.html_to_text import readable_text
from daemon.core.language import EN, NB
from daemon.core.printable import one_line, printable
from daemon.core.safe_html import safe_html


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


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<a b='",
        "<!",
        "<!--",
        "<!-- x>",
        "</",
        "<![x",
        "&",
        "<a>",
        '<a b=">',
        "<script>",
        "<p",
    ],
)
@pytest.mark.timeout(20)
def test_broken_html_does_not_hold_a_worker(piece: str) -> None:
    """A big body made to keep a parser busy is read in the time of any other body."""
    assert len(readable_text(piece * 100_000)) <= len(piece) * 100_000


@given(st.text(max_size=80))
def test_a_header_is_one_line(text: str) -> None:
    """Nothing of what a sender can write breaks a header."""
    line = one_line(text)
    assert line == "" or line.isprintable()
    line.encode()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0,0 kB"), (12_345, "12,3 kB"), (1_000_000, "1,0 MB"), (31_440_000, "31,4 MB")],
)
def test_sizes(size: int, text: str) -> None:
    """Sizes are written as Norwegians write them, and in English with a point."""
    assert NB.size(size) == text
    assert EN.size(size) == text.replace(",", ".")


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (
            "# Vedtak\n\n- a\n- b",
            "text/markdown",
            "<h1>Vedtak</h1>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n",
        ),
        ("<b>fet</b> <script>x()</script>", "text/markdown", "<p><b>fet</b></p>\n"),
        (
            '![Kart & "sted"](https://spor.example/1.gif)',
            "text/markdown",
            '<p>Kart &amp; "sted"</p>\n',
        ),
        ("[her](javascript:x())", "text/markdown", "<p>[her](javascript:x())</p>\n"),
        ("[her](/lokal)", "text/markdown", '<p><a rel="noopener noreferrer">her</a></p>\n'),
        ("a <b & c", "text/plain", "<pre>a &lt;b &amp; c</pre>"),
        ("<td background='https://spor.example'>a", "text/html", "<p>a</p>\n"),
        (
            "<p style='background:url(https://spor.example)' class=x id=y>a</p>",
            "text/html",
            "<p>a</p>",
        ),
        ("<form action='https://x.example'><input name=a>b</form>", "text/html", "<div>b</div>"),
        (
            (
                "<iframe src='https://x.example'></iframe><object data=x></object><svg "
                "onload=x()>c</svg>"
            ),
            "text/html",
            "<p>c</p>\n",
        ),
        (
            (
                "<meta http-equiv=refresh content='0;url=https://x.example'><base href=x><link "
                "rel=stylesheet href=x>d"
            ),
            "text/html",
            "<p>d</p>\n",
        ),
        (
            (
                "<video src='https://x.example'></video><picture><source "
                "srcset='https://x.example'></picture>e"
            ),
            "text/html",
            "<p>e</p>\n",
        ),
        (
            "<a href=' jAvascript:x()' ping='https://x.example'>f</a>",
            "text/html",
            '<p><a rel="noopener noreferrer">f</a></p>\n',
        ),
    ],
)
def test_html_that_is_safe(text: str, kind: str, expected: str) -> None:
    """Nothing in a letter runs, is sent or is fetched, however it is written; its structure and its
    links stay."""
    assert safe_html(text, kind) == expected


@given(
    st.text(alphabet="<>[]()!*_`#/ab \n&;-\"'=:", max_size=80),
    st.sampled_from(["text/html", "text/markdown"]),
)
def test_nothing_active_comes_through(text: str, kind: str) -> None:
    """Whatever a sender writes, only harmless tags and attributes are left of it."""
    tags = re.findall(r"<([^>]*)>", safe_html(text, kind) or "")
    assert not [tag for tag in tags if re.search(r"\bon\w+=|src|style|script|img", tag)]


@pytest.mark.parametrize("piece", ["<div>", "<font><b></p>", "<svg><math>", "<a><table>"])
@pytest.mark.timeout(30)
def test_deep_html_does_not_hold_a_worker(piece: str) -> None:
    """HTML made to be slow is cleaned in a bearable time, or not at all."""
    assert safe_html(piece * (100_000 // len(piece)), "text/html") is not None
    assert safe_html(piece * 50_000, "text/html") is None


@pytest.mark.parametrize("piece", ["![", "[a][", "**a ", "* a\n ", "_a*", "> "])
@pytest.mark.timeout(30)
def test_tangled_markdown_does_not_hold_a_worker(piece: str) -> None:
    """Markdown made to be slow is read in a bearable time, or not at all."""
    assert safe_html(piece * (100_000 // len(piece)), "text/markdown") is not None
    assert safe_html(piece * 100_001, "text/markdown") is None


def test_what_commands_a_terminal_goes() -> None:
    """Control characters go from a text; tabs and line breaks stay."""
    assert printable("a\x1b[2Jb\x00\r\nc\td\u2028e") == "a[2Jb\nc\td\ne"
