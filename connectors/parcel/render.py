"""A letter for people: its metadata, files and text, as plain text and as a page of HTML."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from daemon.core.document import File, LetterDocument
from daemon.core.html_to_text import readable_text
from daemon.core.language import NB, Phrases
from daemon.core.model import KEPT_STATES, MessageKind, PartState
from daemon.core.ports import Parcel
from daemon.core.printable import one_line, printable
from daemon.core.safe_html import MARKUP, safe_html

_RULE = "-" * 60
_COLUMN = 15
_SUMMARY = "text/markdown"
"""The format of a summary, as far as is documented."""


def sender_text(document: LetterDocument, words: Phrases) -> str:
    """Return the sender's name, with the organisation number if it is known."""
    number = document.sender.organisation
    name = document.sender.name or words.unknown
    return one_line(f"{name} ({number})" if number else name)


def plain_letter(parcel: Parcel, words: Phrases = NB, notice: str = "") -> str:
    """Return the letter's metadata, `notice`, and the letter's text, in plain text.

    Times are Norwegian.
    """
    blocks = [
        "\n".join(f"{label + ':':<{_COLUMN}}{value}" for label, value in _facts(parcel, words)),
        "\n".join(_file_list(parcel.document, words)),
        notice,
        _RULE,
        _plain_text(parcel, words),
        _RULE,
        _footer(parcel, words),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def html_letter(parcel: Parcel, words: Phrases = NB, notice: str = "") -> str | None:
    """Return the same as a page of HTML without scripts, forms or anything that is fetched.

    None if the letter's text is too long.
    """
    text = _html_text(parcel, words)
    if text is None:
        return None
    rows = "".join(
        f'<tr><th align="left">{escape(label)}</th><td>{escape(value)}</td></tr>\n'
        for label, value in _facts(parcel, words)
    )
    first, *files = _file_list(parcel.document, words) or [""]
    blocks = [
        f'<table cellpadding="2">\n{rows}</table>',
        f"<p>{escape(first)}</p>" if first else "",
        "<ul>{}</ul>".format(
            "".join(f"<li>{escape(line.removeprefix('- '))}</li>\n" for line in files)
        )
        if files
        else "",
        f"<p><strong>{escape(notice)}</strong></p>" if notice else "",
        "<hr>",
        text,
        "<hr>",
        f"<p><small>{escape(_footer(parcel, words))}</small></p>",
    ]
    head = (
        f'<!DOCTYPE html>\n<html lang="{words.language}"><head><meta charset="utf-8"></head><body>'
    )
    return "\n".join([head, *filter(None, blocks), "</body></html>"]) + "\n"


def _facts(parcel: Parcel, words: Phrases) -> Iterator[tuple[str, str]]:
    """Yield the metadata, as non-empty texts of one line each."""
    document = parcel.document
    service = f"{document.service.code} {document.service.name.get(words.language, '')}"
    facts = (
        (words.service, service),
        (words.sender, sender_text(document, words)),
        (words.party, document.party),
        (words.recipients, ", ".join(each.title or each.name for each in parcel.addressees)),
        (words.title, document.title),
        (words.published, words.moment(document.published_at)),
        (words.deadline, words.moment(document.due_at) if document.due_at else ""),
        (words.confirmation, words.confirmation_wanted if document.confirmation_needed else ""),
        (words.reference, document.sender_reference),
    )
    for label, value in facts:
        line = one_line(value)
        if line:
            yield label, line


def _file_list(document: LetterDocument, words: Phrases) -> list[str]:
    """Return a heading and a line for each attachment.

    A notice has none: it is not a letter, and cannot have attachments.
    """
    if document.files:
        return [f"{words.attachments}:", *(_file_line(file, words) for file in document.files)]
    return [] if document.kind is MessageKind.NOTICE else [words.no_attachments]


def _file_line(file: File, words: Phrases) -> str:
    original = one_line(file.original_name)
    name = f"- {file.name}" + (f" ({original})" if original and original != file.name else "")
    if file.state not in KEPT_STATES:
        return f"{name}: {words.missing.format(why=words.why_missing[file.state])}"
    doubt = f", {words.doubtful}" if file.state is PartState.CHECKSUM_FAILED else ""
    return f"{name}, {words.size(file.size or 0)}{doubt}"


def _footer(parcel: Parcel, words: Phrases) -> str:
    return words.footer.format(letter=parcel.document.id, delivery=parcel.delivery_id)


def _plain_text(parcel: Parcel, words: Phrases) -> str:
    """Return the letter's summary and text, without their markup."""
    text = _unmarked(parcel.body.decode(errors="replace"), parcel.document.body.media_type)
    return f"{_summary(parcel, text)}\n\n{text}".strip() or _no_text(parcel, words)


def _unmarked(text: str, kind: str) -> str:
    """Return the text without its markup.

    It is returned as written if it has no markup or is too long to parse.
    """
    text = printable(text).strip()
    html = safe_html(text, kind) if kind in MARKUP else None
    if html is None:
        return readable_text(text) if kind == "text/html" else text
    words = readable_text(html)
    return text if kind == "text/markdown" and words.split() == text.split() else words


def _html_text(parcel: Parcel, words: Phrases) -> str | None:
    text, kind = printable(parcel.body.decode(errors="replace")), parcel.document.body.media_type
    html = safe_html(text, kind)
    if html is None:
        return None
    summary = (
        safe_html(printable(parcel.document.summary), _SUMMARY)
        if _summary(parcel, _unmarked(text, kind))
        else ""
    )
    return (
        f"{(summary or '').strip()}\n{html.strip()}".strip()
        or f"<p>{escape(_no_text(parcel, words))}</p>"
    )


def _no_text(parcel: Parcel, words: Phrases) -> str:
    deleted_at = parcel.document.body.deleted_at
    return words.text_deleted.format(when=words.moment(deleted_at)) if deleted_at else words.no_text


def _summary(parcel: Parcel, text: str) -> str:
    """Return the letter's summary without its markup, unless its text begins with it."""
    summary = _unmarked(parcel.document.summary, _SUMMARY)
    return "" if " ".join(text.split()).startswith(" ".join(summary.split())) else summary
