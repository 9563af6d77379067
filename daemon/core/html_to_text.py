"""HTML as readable text, for recipients that must not be given HTML.

Small on purpose: letters are simple.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

_BREAKS = frozenset(
    {"br", "tr", "dt", "dd", "div", "section", "article", "header", "footer", "address", "hr"}
)
_PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre"}
)
_BREAK_ONCE = frozenset({"br", "hr", "tr", "dt", "dd"})
_LISTS = frozenset({"ul", "ol"})
_CELLS = frozenset({"td", "th"})
_BLANK, _QUOTE, _UNQUOTE = "\x01", "\x02", "\x03"
"""Placeholders for a non-breaking blank, and for the start and end of a quotation, until all is
read.
"""
_OURS = re.compile("[\x01-\x03]")
_DEEPEST = 6
"""The levels of lists and quotations that are shown."""
_MARKED = re.compile(r"<!\[[^<>]*>")
"""Conditional comments of office programs, and CDATA: invisible in HTML."""
_STRAY = re.compile(r"<(?![^<>]*>)")
_UNSEEN = frozenset({"script", "style", "title"})
_ADDRESSES = ("https://", "http://", "mailto:", "tel:")


def readable_text(html: str) -> str:
    """Return the text of an HTML fragment or page.

    Paragraphs, lists and the targets of links are kept, everything else is left out.
    """
    reader = _HtmlReader()
    reader.feed(_tamed(html))
    reader.close()
    return reader.text()


def _tamed(html: str) -> str:
    """Remove the HTML at which Python's parser fails, or would take hours.

    These are marked sections, open comments, and tags without an end.
    """
    first, *rest = html.split("<!--")
    seen = first + "".join(each.partition("-->")[2] for each in rest)
    return _STRAY.sub("&lt;", _MARKED.sub("", seen))


class _HtmlReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._unseen = self._verbatim = 0
        self._targets: list[str] = []
        self._lists: list[int | None] = []
        """The open lists, with the number of the next item where they are numbered."""
        self._begins = self._in_row = False
        """Whether an item or cell has no words yet, and whether a row has a cell."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "a":
            self._targets.append(dict(attrs).get("href") or "")
        elif tag == "li":
            self._item()
        elif tag in _CELLS:
            self._cell()
        else:
            self._break(_space_around(tag))
            self._open(tag, dict(attrs))

    def _open(self, tag: str, attrs: dict[str, str | None]) -> None:
        self._in_row = self._in_row and tag != "tr"
        self._verbatim += tag == "pre"
        if tag in _LISTS:
            start = attrs.get("start") or "1"
            self._lists.append(
                None if tag == "ul" else int(start) if re.fullmatch(r"[0-9]{1,9}", start) else 1
            )
        elif tag == "blockquote":
            self._pieces.append(_QUOTE)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "a" and self._targets:
            self._close_link(self._targets.pop())
        elif tag not in _BREAK_ONCE:
            self._close(tag)
            self._begins = self._begins and tag not in _CELLS
            self._break(_space_around(tag))

    def _close(self, tag: str) -> None:
        self._verbatim = max(0, self._verbatim - (tag == "pre"))
        if tag in _LISTS and self._lists:
            self._lists.pop()
            self._begins = False
        elif tag == "blockquote":
            self._pieces.append(_UNQUOTE)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        data = _OURS.sub("", data)
        self._begins = self._begins and not data.strip()
        self._add(
            data.replace(" ", _BLANK).replace("\t", _BLANK * 4)
            if self._verbatim
            else re.sub(r"\s+", " ", data)
        )

    def _item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        self._add(
            "\n"
            + _BLANK * 2 * min(max(len(self._lists) - 1, 0), _DEEPEST)
            + (f"{number}. " if number is not None else "- ")
        )
        self._begins = True

    def _cell(self) -> None:
        """Begin a cell beside the one before it, whatever paragraphs that had."""
        while self._in_row and self._pieces and not self._pieces[-1].strip(" \n"):
            self._pieces.pop()
        self._add(" ")
        self._begins = self._in_row = True

    def _break(self, piece: str) -> None:
        """Break the line, unless an item or a cell has only just begun on it."""
        if not self._begins:
            self._add(piece)

    def _add(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)

    def _close_link(self, target: str) -> None:
        """Write the target after the link's words, unless they are the same."""
        address = "".join(target.split())
        words = "".join(self._pieces[-1:]).strip()
        if address.startswith(_ADDRESSES) and words not in {address, address.partition(":")[2]}:
            self._add(f" <{address}>")

    def text(self) -> str:
        lines = "\n".join(_quoted("".join(self._pieces).split("\n")))
        return re.sub(r"\n{3,}", "\n\n", lines).replace(_BLANK, " ").strip("\n")


def _quoted(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines with single blanks, and a `>` for each level of quotation before them."""
    depth = 0
    for line in lines:
        depth += line.count(_QUOTE)
        words = " ".join(line.replace(_QUOTE, "").replace(_UNQUOTE, "").split())
        yield "> " * min(depth, _DEEPEST) + words if words else ""
        depth = max(0, depth - line.count(_UNQUOTE))


def _space_around(tag: str) -> str:
    return "\n\n" if tag in _PARAGRAPHS else "\n" if tag in _BREAKS else ""
