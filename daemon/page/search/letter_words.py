"""The words by which a letter is found."""

from __future__ import annotations

import html
import re

from daemon.core.folding import fold_whole
from daemon.store.changes import IndexedLetter

LONGEST_BODY = 10_000
"""Characters of a letter's text that are searched; the rest is not found. Few are longer."""
_LONGEST_OTHER = 2_000  # characters of each other field
_TAG = re.compile(r"<[^>]*>")
_HTML = "text/html"


def words_of(letter: IndexedLetter) -> str:
    """Return all that is searched: title, summary, text, sender, reference and file names.

    It is folded as rules fold it. No word reaches from one field into the next. Case numbers are in
    the title or the text.
    """
    body = html.unescape(_TAG.sub(" ", letter.body)) if letter.body_type == _HTML else letter.body
    others = (
        letter.title,
        letter.sender_name,
        letter.sender_org or "",
        letter.sender_reference,
        *letter.file_names,
        letter.summary,
    )
    fields = (*(each[:_LONGEST_OTHER] for each in others), body)
    return "\n".join(text for each in fields if (text := fold_whole(each)))


def folded(title: str) -> str:
    """Return a title as short words are searched in it."""
    return fold_whole(title[:_LONGEST_OTHER])
