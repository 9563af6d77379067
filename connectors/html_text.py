"""HTML as text that a person can read, for readers that must not be handed HTML. Small on purpose: letters are simple."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BREAKS = frozenset({"br", "tr", "dt", "dd", "div", "section", "article", "header", "footer", "address", "hr"})
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre"})
_BREAK_ONCE = frozenset({"br", "hr", "tr", "dt", "dd"})
_OPENING = {"li": "\n- ", "td": " ", "th": " "}
_MARKED = re.compile(r"<!\[[^<>]*>")
"""Office programs' conditions, and CDATA: invisible in HTML."""
_STRAY = re.compile(r"<(?![^<>]*>)")
_UNSEEN = frozenset({"script", "style", "title"})
_ADDRESSES = ("https://", "http://", "mailto:", "tel:")


def readable_text(html: str) -> str:
    """The text of an HTML fragment or page: paragraphs, lists and the targets of links are kept, everything else is left out."""
    reader = _Reader()
    reader.feed(_tamed(html))
    reader.close()
    return reader.text()


def _tamed(html: str) -> str:
    """The HTML without what Python's parser gives up at, or would need hours for: marked sections, open comments, tags without an end."""
    first, *rest = html.split("<!--")
    seen = first + "".join(each.partition("-->")[2] for each in rest)
    return _STRAY.sub("&lt;", _MARKED.sub("", seen))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._unseen = 0
        self._targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "a":
            self._targets.append(dict(attrs).get("href") or "")
        else:
            self._add(_OPENING.get(tag, _space_around(tag)))

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "a" and self._targets:
            self._close_link(self._targets.pop())
        elif tag not in _BREAK_ONCE:
            self._add(_space_around(tag))

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._add(re.sub(r"\s+", " ", data))

    def _add(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)

    def _close_link(self, target: str) -> None:
        """Write the target behind the link's words, unless they are the same."""
        address = "".join(target.split())
        words = "".join(self._pieces[-1:]).strip()
        if address.startswith(_ADDRESSES) and words not in {address, address.partition(":")[2]}:
            self._add(f" <{address}>")

    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _space_around(tag: str) -> str:
    return "\n\n" if tag in _PARAGRAPHS else "\n" if tag in _BREAKS else ""
