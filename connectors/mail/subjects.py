"""Subjects: an operator's template, validated when it is read, and filled in for each letter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator

from connectors.mail.headers import header_text
from daemon.core.language import Phrases
from daemon.core.ports import Parcel
from daemon.core.printable import one_line

STANDARD = "[{service}] {title}"
_BLANKS = re.compile(" +")

_EXAMPLE = {
    "deadline": "01.04.2026 kl. 12.00",
    "party": "991825827",
    "party_name": "Nordre Bakeri AS",
    "published": "12.03.2026 kl. 10.46",
    "recipients": "Regnskapsavdelingen",
    "reference": "2026/1234",
    "sender": "Skatteetaten",
    "sender_number": "974761076",
    "service": "4255/8",
    "service_name": "Skatter og avgifter",
    "title": "Vedtak om merverdiavgift",
}


def _template(text: str) -> str:
    try:
        pieces = [piece for piece in Formatter().parse(text) if piece[1] is not None]
    except ValueError as error:
        raise ValueError(
            f"is not a valid template ({error}); write a placeholder as {{title}}, and a "
            "literal brace twice"
        ) from error
    for _, name, details, conversion in pieces:
        if name not in _EXAMPLE or details or conversion:
            known = ", ".join(f"{{{each}}}" for each in _EXAMPLE)
            raise ValueError(
                f"has an unknown placeholder: {{{name}}}; use {known}, with nothing but the name"
            )
    if not fill(text, _EXAMPLE):
        raise ValueError(f'makes an empty subject; leave it out, or write one such as "{STANDARD}"')
    return text


SubjectTemplate = Annotated[str, AfterValidator(_template)]
"""A subject with placeholders such as `{title}`, all of which are known."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the subject, on one line.

    The template has been validated. No blanks are left around an empty value, and a value keeps all
    its blanks.
    """
    line = ""
    for literal, name, _, _ in Formatter().parse(template):
        words = _BLANKS.sub(" ", header_text(literal))
        line += words.lstrip() if not line or line.endswith(" ") else words
        value = header_text(values[name]) if name else ""
        line, ends = line + value, bool(value)
    return line if ends else line.rstrip()


def example(template: str) -> str:
    """Return the subject of an example letter."""
    return fill(template, _EXAMPLE)


def subject(template: str, parcel: Parcel, words: Phrases) -> str:
    """Return the subject of this letter; unknown values are left empty."""
    document = parcel.document
    values = {
        "deadline": words.moment(document.due_at) if document.due_at else "",
        "party": document.party,
        "party_name": document.party_name,
        "published": words.moment(document.published_at),
        "recipients": ", ".join(each.title or each.name for each in parcel.addressees),
        "reference": document.sender_reference,
        "sender": document.sender.name or words.unknown,
        "sender_number": document.sender.organisation or "",
        "service": document.service.code,
        "service_name": document.service.name.get(words.language, ""),
        "title": document.title if one_line(document.title) else words.untitled,
    }
    return fill(template, values)
