"""Text from outside without what could trick a terminal, a mail reader or a header."""

from __future__ import annotations

import re
from unicodedata import category

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls of C0 but for tab and newline, DEL, C1; marks of Unicode Standard Annex 9; separators of
lines; halves of surrogate pairs.
"""


def one_line(text: str) -> str:
    """Return `text` without line breaks, control characters and the like, fit for a header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def printable(text: str) -> str:
    """Return `text` without control characters, which could trick a terminal or a mail reader.

    Tabs and line breaks stay.
    """
    return "\n".join(
        "".join(letter for letter in line if letter == "\t" or category(letter) not in {"Cc", "Cs"})
        for line in text.splitlines()
    )


def without_controls(text: str) -> str:
    """Return the text without anything that moves a cursor, forges a line or turns it around."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)
