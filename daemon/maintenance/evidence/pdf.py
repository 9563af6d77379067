"""The PDF of an evidence, for people. It is made by fpdf2, which is imported when it is needed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.core.errors import OperatorError
from daemon.core.pdf_pages import FONT, new_pages, shown, write_line
from daemon.maintenance.evidence.document import Evidence
from daemon.maintenance.evidence.report import ReportSection, report, texts_of
from daemon.maintenance.evidence.words import EvidenceWords, Tries

if TYPE_CHECKING:
    from fpdf import FPDF

_LINE = 5  # mm
_MOST_TEXT = 200_000  # characters of the letter's own text; it is whole in letter/


def has_library() -> bool:
    """Whether fpdf2 is installed."""
    return importlib.util.find_spec("fpdf") is not None


def require_library() -> None:
    """Raise OperatorError if fpdf2 is not installed."""
    if not has_library():
        raise OperatorError(
            "The PDF needs a library that is not installed; install the wheel with its extra: "
            "pip install '<the wheel>[pdf]'"
        )


def render_evidence(
    evidence: Evidence, hashes: Mapping[int, str], key: str, words: EvidenceWords, tried: Tries
) -> bytes:
    """Return the PDF. `hashes` has those of rows of the journal, `key` is the public key in hex.

    `tried` is what the explanations were made of.
    """
    sections = report(evidence, hashes, key, words, tried)
    page = new_pages(datetime.fromisoformat(evidence.made_at))
    page.set_title(words["title"])
    page.set_lang(words.language)
    page.set_font(FONT, "B", 16)
    write_line(page, words["title"], 8)
    for section in sections:
        _write(page, section)
    texts = list(texts_of(sections))
    if texts != [shown(each) for each in texts]:
        page.ln(_LINE)
        write_line(page, words["replaced"], _LINE)
    return bytes(page.output())


def _write(page: FPDF, section: ReportSection) -> None:
    page.ln(_LINE)
    page.set_font(FONT, "B", 12)
    write_line(page, shown(section.heading), 7)
    written = 0
    for label, text in section.lines:
        written += len(text)
        if written > _MOST_TEXT:
            write_line(page, "...", _LINE)
            break
        if label:
            page.set_font(FONT, "B", 9)
            write_line(page, shown(label), _LINE)
        page.set_font(FONT, "", 9)
        if text:
            write_line(page, re.sub(r"[ \t]+", " ", shown(text)), _LINE)
