"""A letter as a PDF for people: its metadata and its text.

It uses one of the fonts built into every PDF reader, which cover Western European languages
(Windows-1252). Other letters are written without their marks, or as a question mark, and the PDF
says so. The letter's own text is never changed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from connectors.parcel.render import plain_letter
from daemon.core.ports import Parcel
from daemon.core.printable import one_line

if TYPE_CHECKING:
    from fpdf import FPDF

_ENCODING = "cp1252"
_FONT = "helvetica"
_NO_DECOMPOSITION = str.maketrans(
    {"đ": "d", "Đ": "D", "ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "ł": "l", "Ł": "L"}
)
_REPLACED = (
    "Tegn som denne fremstillingen ikke kan vise, er erstattet. Brevets egen tekst er uendret."
)
_LINE = 5


def render_letter(parcel: Parcel) -> bytes:
    """Return the PDF; the same bytes for the same parcel."""
    title, text = one_line(parcel.document.title), plain_letter(parcel)
    shown_title, shown_text = shown(title), shown(text)
    page = _new_document(parcel)
    page.set_font(_FONT, "B", 14)
    _write(page, shown_title or "(uten tittel)", 7)
    page.ln(_LINE)
    page.set_font(_FONT, "", 10)
    for line in shown_text.splitlines():
        _write(page, re.sub(r"[ \t]+", " ", line) or " ", _LINE)
    if (shown_title, shown_text) != (title, text):
        _write(page, _REPLACED, _LINE)
    return bytes(page.output())


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


def _new_document(parcel: Parcel) -> FPDF:
    from fpdf import FPDF

    page = FPDF(format="A4")
    page.core_fonts_encoding = _ENCODING
    page.set_creation_date(parcel.document.published_at)
    page.set_producer("Postmottak")
    page.set_margin(20)
    page.set_auto_page_break(auto=True, margin=20)
    page.add_page()
    return page


def _write(page: FPDF, line: str, height: int) -> None:
    page.multi_cell(0, height, line, new_x="LMARGIN", new_y="NEXT", align="L")
