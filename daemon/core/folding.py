"""Text as rules compare it: case, accents and invisible characters do not count.

What is stored stays as it was sent.

Invisible are the default-ignorable code points of Unicode (soft hyphen, zero-width
characters, variation selectors, bidi marks, tags; DerivedCoreProperties.txt), control characters,
and the difference between one blank and another or several.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BLANKS = re.compile(r"[\s\u2800]+")
"""Every blank and line break of Unicode, and the Braille blank, which looks like one."""
_BLANK = re.compile(r"[\s\u2800]")
_REPEATED = re.compile(r" +(?= [^*+?{]| $)")
_ASCII_LIKE = {"\u2010": "-", "\u2011": "-"}
"""Hyphens that look like the ASCII one; word processors write the second as a non-breaking one."""
_LOOK_ALIKES = str.maketrans(_ASCII_LIKE)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
"""In a long text these are few, so that a function can be called for each."""
_DECEPTIVE = re.compile(rf"{_UNSEEN.pattern}|[^ \S]|(?<= ) |[\u2010\u2011\u2800\u0300-\u036f]")
"""What is invisible or looks like something else, combining marks included."""


def readable(text: str) -> str:
    """Return the text without invisible characters, its letters composed, with single blanks.

    Case and accents stay.
    """
    if _is_simple(text):
        return text.strip()
    return _BLANKS.sub(" ", _composed(text)).strip()


def readable_expression(expression: str) -> str:
    """Return a regular expression that fits text from `readable`.

    A blank with a quantifier after it stays separate.
    """
    return _REPEATED.sub("", _BLANK.sub(" ", _composed(expression)))


def _is_simple(text: str) -> bool:
    """Whether there is nothing to leave out or to compose, as in most texts."""
    return text.isascii() and text.isprintable() and "  " not in text


def _composed(text: str) -> str:
    bare = _UNSEEN.sub("", text)
    return bare if bare.isascii() else unicodedata.normalize("NFC", bare).translate(_LOOK_ALIKES)


def fold(text: str) -> str:
    """Fold text to compare as people do: Møte and MØTE are equal, as are é and e; ø stays ø.

    Blanks at each end stay, as one.
    """
    if _is_simple(text):
        return text.lower()
    return _BLANKS.sub(" ", _UNSEEN.sub("", _bare(text)))


def _bare(text: str) -> str:
    if text.isascii():  # as most texts are: nothing to decompose
        return text.casefold()
    # in this order, because ™ becomes TM only in the first step
    plain = unicodedata.normalize("NFKD", text).casefold()
    return _NOT_ASCII.sub(_unaccented, unicodedata.normalize("NFKD", plain))


def _unaccented(found: re.Match[str]) -> str:
    letter = found[0]
    return "" if unicodedata.combining(letter) else _ASCII_LIKE.get(letter, letter)


def fold_whole(text: str) -> str:
    """Fold text that is compared as a whole: blanks at its ends do not count."""
    return fold(text).strip()


def fold_title(text: str) -> str:
    """Fold a title for a search of words: a blank also stands for its beginning and its end."""
    return f" {fold_whole(text)} "


def is_like(folded: str, pattern: str) -> bool:
    """Whether text, folded as a whole, matches the pattern, in which * stands for anything."""
    first, *rest = fold_whole(pattern).split("*")
    if not rest:
        return folded == first
    *middle, last = rest
    if not folded.startswith(first) or len(folded) < len(first) + len(last):
        return False
    place, end = len(first), len(folded) - len(last)
    for piece in middle:
        found = folded.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return folded.endswith(last)


def escaped(text: str) -> str:
    r"""Return the text with an escape such as \u00ad for each deceptive character."""
    return _DECEPTIVE.sub(
        lambda found: (
            f"\\u{ord(found[0]):04x}" if found[0] <= "\uffff" else f"\\U{ord(found[0]):08x}"
        ),
        text,
    )
