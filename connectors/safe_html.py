"""A letter's text as HTML that is safe to show in a mail reader: no script, no form, no style, and nothing that is fetched from elsewhere.

Markdown is read as CommonMark; HTML inside it is shown and not obeyed. What a sender wrote as HTML keeps its structure and its links.
"""

from __future__ import annotations

from html import escape
from typing import Any

_LONGEST = 100_000
"""In characters; Altinn takes 30,000 of a sender. If it is made to be slow, as much takes seconds, and twice as much four times that."""
_FETCHING = frozenset({"img", "map", "area"})
_UNSEEN = {"script", "style", "title"}
_CELL = {"colspan", "rowspan"}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "td": _CELL, "th": _CELL}
_SCHEMES = {"https", "http", "mailto", "tel"}


def safe_html(text: str, media_type: str) -> str | None:
    """`text` of this media type as a fragment of HTML; None if it is so long that it could hold a worker."""
    if len(text) > _LONGEST:
        return None
    if media_type == "text/html":
        return _cleaned(text)
    if media_type == "text/markdown":
        return _cleaned(_from_markdown(text))
    return f"<pre>{escape(text)}</pre>"


def _cleaned(html: str) -> str:
    import nh3

    return nh3.clean(
        html,
        tags=nh3.ALLOWED_TAGS - _FETCHING,
        clean_content_tags=_UNSEEN,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        url_relative="deny",  # there is no page that a relative address could start from
    )


def _from_markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False})
    reader.add_render_rule("image", _words_for_an_image)
    return str(reader.render(text))


def _words_for_an_image(_renderer: Any, tokens: Any, place: int, _options: Any, _env: Any) -> str:
    return escape(tokens[place].content)
