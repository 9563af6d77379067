"""Turn a letter's text into HTML, whether it is Markdown, HTML, or both at once. Not yet cleaned.

HTML decides the structure, and Markdown is read in the text between its tags: as lines and lists
outside of elements, and inside an element where it looks like that; otherwise as running text, so
that the amount in `<td>- 5 000</td>` does not become a list. A tag that HTML does not have, such as
<name>, is shown as written. The time is linear in the length of the text, apart from Markdown's
own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_CONTAINERS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote center details dialog div dl fieldset figure footer "
        "form h1 h2 h3 h4 h5 h6 header main nav ol p "
        "pre section table ul",
    )
)
_BLOCKS = _CONTAINERS | frozenset(
    re.findall(
        r"\w+",
        "base body caption col colgroup dd dt figcaption head hr html legend li link meta "
        "optgroup option summary tbody td tfoot th "
        "thead tr",
    )
)
_INLINE = frozenset(
    re.findall(
        r"\w+",
        "a abbr acronym area audio b bdi bdo big blink br button canvas circle cite code data "
        "datalist del dfn em embed font g i iframe "
        "img input ins kbd label line map mark math nobr noscript object output param path "
        "picture progress q rect rp rt ruby s samp "
        "select slot small source span strike strong sub sup svg template textarea track tt u "
        "use var video wbr",
    )
)
_RAW = frozenset({"script", "style", "title"})
"""Elements whose content is never displayed."""
_VERBATIM = _RAW | {"pre"}
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]*)((?:[\s/][^<>]*)?)>")
_MARKED = re.compile(r"<!\[[^<>]*>|<[!?][A-Za-z][^<>]*>")
"""Conditional comments of office programs, CDATA, document types and instructions: invisible in
HTML.
"""
_MARKER = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)]|#{1,6}|>)[ \t]", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_PIPE_TABLE = re.compile(
    r"^[ \t]*(?:\|[ \t]*)?:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE
)
_OFFICE = re.compile(r"</?(?:[ovwxmp]|st[0-9]|mml):[A-Za-z][^<>]*>", re.IGNORECASE)
_CLOSING = re.compile(r"</([A-Za-z][A-Za-z0-9-]*)")
_VALUE = r"""\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>]+))"""
_HREF = re.compile(rf"\shref{_VALUE}", re.IGNORECASE)
_ALT = re.compile(rf"\salt{_VALUE}", re.IGNORECASE)
_STAND_INS = frozenset(
    {"address", "dialog", "fieldset", "form", "legend", "main", "optgroup", "option", "section"}
)
"""Elements that the cleaning would remove, although they keep words apart."""


def to_html(text: str, *, is_html: bool) -> str:
    """Return the text as HTML.

    `is_html`: the sender declared it as HTML, in which a line break is a blank.
    """
    bare = _TAG.sub(_plain_tag, _without_comments(text))
    tags = _block_tags(bare)
    reader = _reader(
        breaks=not (is_html and bare.lstrip().startswith("<")),
        indented_code=not tags and not is_html,
    )
    closed = {found[1].lower() for found in _CLOSING.finditer(bare)}
    return "".join(_pieces(_Markdown(reader, closed), bare, tags))


def _block_tags(text: str) -> list[re.Match[str]]:
    """Return the tags between which Markdown is read.

    A tag that hides what follows and is never closed is left out; it would hide the rest of the
    letter.
    """
    tags = [found for found in _TAG.finditer(text) if found[2].lower() in _BLOCKS | _RAW]
    last = {found[2].lower(): found.start() for found in tags if found[1]}
    return [
        found
        for found in tags
        if found[2].lower() not in _VERBATIM
        or found[1]
        or last.get(found[2].lower(), -1) > found.start()
    ]


def _plain_tag(found: re.Match[str]) -> str:
    """Return an inline tag in the one form that every reader of Markdown accepts.

    An image becomes its alternative text. Any other tag is returned unchanged.
    """
    end, name, details = found[1], found[2].lower(), found[3]
    if name not in _INLINE:
        return found[0]
    if name == "img":
        return _first(_ALT, details)
    target = _first(_HREF, details) if name == "a" else ""
    attribute = ' href="{}"'.format(target.replace('"', "%22")) if target else ""
    return f"<{end}{name}{attribute}>"


def _first(value: re.Pattern[str], details: str) -> str:
    found = value.search(details)
    return next(filter(None, found.groups()), "") if found else ""


class _Markdown:
    """Converts the text between block tags."""

    def __init__(self, reader: MarkdownIt, closed: Collection[str]) -> None:
        self._reader = reader
        self._closed = closed

    def html(self, text: str, *, inside: bool) -> str:
        """Return the text as blocks; inline inside an element, unless it looks like blocks."""
        if not text.strip():
            return text
        blocks = (
            len(_MARKER.findall(text)) > 1
            or _BLANK_LINE.search(text.strip())
            or ("|" in text and _PIPE_TABLE.search(text))
        )
        env = {"closed": self._closed}
        return str(
            self._reader.renderInline(text.strip(), env)
            if inside and not blocks
            else self._reader.render(text, env)
        )


def _pieces(markdown: _Markdown, text: str, tags: Sequence[re.Match[str]]) -> Iterator[str]:
    """Yield the block tags unchanged, and the text between them as Markdown."""
    place, open_, verbatim = 0, 0, ""
    for found in tags:
        name, closes = found[2].lower(), bool(found[1])
        if verbatim and (name != verbatim or not closes):
            continue
        between = text[place : found.start()]
        yield between if verbatim else markdown.html(between, inside=open_ > 0)
        place = found.end()
        verbatim = name if name in _VERBATIM and not closes else ""
        open_ = _depth(open_, name, closes=closes)
        yield f"<{found[1]}div>" if name in _STAND_INS else found[0]
    yield markdown.html(text[place:], inside=open_ > 0)


def _depth(open_: int, name: str, *, closes: bool) -> int:
    """Return how many elements are open, as far as unclosed ones allow."""
    if name not in _CONTAINERS:
        return open_
    return max(0, open_ - 1) if closes else open_ + 1


def _without_comments(text: str) -> str:
    """Return the text without what HTML never shows.

    An unclosed comment is shown, because it may hold the rest of the letter.
    """
    first, *rest = text.split("<!--")
    pieces = [first]
    for each in rest:
        inner, end, after = each.partition("-->")
        pieces.append(after if end else f"&lt;!--{inner}")
    return (
        _OFFICE.sub("", _MARKED.sub("", "".join(pieces)))
        .replace("<!", "&lt;!")
        .replace("<?", "&lt;?")
    )


def _reader(*, breaks: bool, indented_code: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    reader = (
        MarkdownIt("commonmark", {"html": True, "breaks": breaks})
        .enable("table")
        .disable("html_block")
    )
    if not indented_code:
        reader.disable("code")  # HTML is indented as people like it
    reader.add_render_rule("image", _words_for_an_image)
    reader.add_render_rule("html_inline", _tag)
    reader.add_render_rule("softbreak", _line_break)
    return reader


def _words_for_an_image(
    _renderer: Any, tokens: Sequence[Token], place: int, _options: Any, _env: Any
) -> str:
    return escape(tokens[place].content)


def _tag(_renderer: Any, tokens: Sequence[Token], place: int, _options: Any, env: Any) -> str:
    """Return an HTML tag unchanged.

    Any other tag becomes text, unless it is closed somewhere and so was meant as a tag.
    """
    written = tokens[place].content
    found = _TAG.fullmatch(written)
    name = found[2].lower() if found else ""
    return written if name in _INLINE or name in env["closed"] else escape(written)


def _line_break(
    _renderer: Any, tokens: Sequence[Token], place: int, options: Any, _env: Any
) -> str:
    """Return a line break where line breaks count, unless the sender wrote one there already."""
    before = tokens[place - 1].content.lower() if place else ""
    return "\n" if not options["breaks"] or before.startswith("<br") else "<br>\n"
