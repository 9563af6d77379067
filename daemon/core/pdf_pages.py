"""Pages of a PDF, in one of the fonts built into every reader.

They cover Western European languages (Windows-1252); letters of others are shown without their
marks, or as a question mark.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpdf import FPDF

FONT = "helvetica"
_ENCODING = "cp1252"
_NO_DECOMPOSITION = str.maketrans(
    {"đ": "d", "Đ": "D", "ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "ł": "l", "Ł": "L"}
)


def shown(text: str) -> str:
    """Return the text in characters that the font has."""
    return "".join(letter if _has(letter) else _nearest(letter) for letter in text)


def _has(letter: str) -> bool:
    try:
        letter.encode(_ENCODING)
    except UnicodeEncodeError:
        return False
    return True


def _nearest(letter: str) -> str:
    bare = unicodedata.normalize("NFKD", letter.translate(_NO_DECOMPOSITION))
    kept = "".join(each for each in bare if _has(each) and not unicodedata.combining(each))
    return kept or ("" if unicodedata.combining(letter) else "?")


def new_pages(made_at: datetime) -> FPDF:
    """Return a document with an empty page; the same bytes come of the same text and time."""
    from fpdf import FPDF

    page = FPDF(format="A4")
    page.core_fonts_encoding = _ENCODING
    page.set_creation_date(made_at)
    page.set_producer("Postmottak")
    page.set_margin(20)
    page.set_auto_page_break(auto=True, margin=20)
    page.add_page()
    return page


def write_line(page: FPDF, line: str, height: int) -> None:
    """Write a paragraph, over as many lines as it takes. `height` is that of a line, in mm."""
    page.multi_cell(0, height, line, new_x="LMARGIN", new_y="NEXT", align="L")
