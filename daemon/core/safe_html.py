"""A letter's text as HTML that is safe to show in a mail reader.

It has no script, no form, no style, and nothing that is fetched from elsewhere. Markdown and HTML,
each or both at once, are read by `markup`; the structure and the links are kept.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape

from daemon.core.markup import to_html

_LONGEST = 100_000
"""In characters; Altinn accepts 30,000 from a sender. Hostile text of this length takes seconds,
and of twice the length four times as long.
"""
_FETCHING = frozenset({"img", "map", "area"})
_UNSEEN = {"script", "style", "title"}
_CELL = {"colspan", "rowspan"}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "td": _CELL, "th": _CELL}
MARKUP = frozenset({"text/html", "text/markdown"})
_SCHEMES = {"https", "http", "mailto", "tel"}


@lru_cache(maxsize=4)  # a letter is shown in several forms, in each of its mails
def safe_html(text: str, media_type: str) -> str | None:
    """Return `text` of this media type as a fragment of HTML.

    None if it is so long that it could block a worker.
    """
    if len(text) > _LONGEST:
        return None
    if media_type in MARKUP:
        return _cleaned(to_html(text, is_html=media_type == "text/html"))
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
