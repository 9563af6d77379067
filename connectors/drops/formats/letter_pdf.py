"""A letter as a PDF for people: its metadata and its text.

It uses one of the fonts built into every PDF reader, which cover Western European languages
(Windows-1252). Other letters are written without their marks, or as a question mark, and the PDF
says so. The letter's own text is never changed.
"""

from __future__ import annotations

import re

from connectors.parcel.render import plain_letter
from daemon.core.pdf_pages import FONT, new_pages, shown, write_line
from daemon.core.ports import Parcel
from daemon.core.printable import one_line

_REPLACED = (
    "Tegn som denne fremstillingen ikke kan vise, er erstattet. Brevets egen tekst er uendret."
)
_LINE = 5


def render_letter(parcel: Parcel) -> bytes:
    """Return the PDF; the same bytes for the same parcel."""
    title, text = one_line(parcel.document.title), plain_letter(parcel)
    shown_title, shown_text = shown(title), shown(text)
    page = new_pages(parcel.document.published_at)
    page.set_font(FONT, "B", 14)
    write_line(page, shown_title or "(uten tittel)", 7)
    page.ln(_LINE)
    page.set_font(FONT, "", 10)
    for line in shown_text.splitlines():
        write_line(page, re.sub(r"[ \t]+", " ", line) or " ", _LINE)
    if (shown_title, shown_text) != (title, text):
        write_line(page, _REPLACED, _LINE)
    return bytes(page.output())
