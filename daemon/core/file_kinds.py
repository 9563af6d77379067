"""The kind of a file by its first bytes, where its name and media type do not say it.

Pure; reads nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

HEAD = 8192
"""How many of a file's first bytes are examined."""

_BEFORE_PDF = b"\xef\xbb\xbf\x00 \t\r\n"
"""What some programs write before `%PDF-`, and every reader accepts."""
_KINDS = {
    "pdf": "pdf",
    "png": "png",
    "jpg": "jpg",
    "gif": "gif",
    "tif": "tif",
    "tiff": "tif",
    "rtf": "rtf",
    "xml": "xml",
    "docx": "zip",
    "zip": "zip",
}
"""The kinds that are distinguished, by the library's names; among others, it calls every ZIP file a
Word document.
"""
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_OFFICE = {b"word/": "docx", b"xl/": "xlsx", b"ppt/": "pptx"}
_OPEN_DOCUMENTS = {
    b"opendocument.text": "odt",
    b"opendocument.spreadsheet": "ods",
    b"opendocument.presentation": "odp",
}


def kind_of(head: bytes) -> str:
    """Return the usual suffix of a file that begins with these bytes, such as `pdf`.

    Empty if they do not show it.
    """
    if head.lstrip(_BEFORE_PDF).startswith(b"%PDF-"):
        return "pdf"
    # the library compares with 1,600 kinds, most of which do not concern us
    if not any(head.startswith(sign, place) for place, sign in _signs()):
        return ""
    import puremagic

    try:
        found = puremagic.magic_string(head)
    except puremagic.PureError:
        return ""
    best = [each.extension.lstrip(".") for each in found if each.confidence == found[0].confidence]
    kind = next((_KINDS[each] for each in best if each in _KINDS), "")
    return _kind_of_zip(head) if kind == "zip" else kind


@cache
def _signs() -> Sequence[tuple[int, bytes]]:
    """Return where the kinds that are distinguished have which bytes, as the library knows them."""
    from puremagic.main import magic_header_array, multi_part_dict

    in_parts = {
        sign
        for sign, rows in multi_part_dict.items()
        if any(_is_ours(row.extension) for row in rows)
    }
    return [
        (row.offset, row.byte_match)
        for row in magic_header_array
        if row.offset >= 0 and (_is_ours(row.extension) or row.byte_match in in_parts)
    ]


def _is_ours(extension: str) -> bool:
    return extension.lstrip(".") in _KINDS


def is_text(head: bytes) -> bool:
    """Whether the bytes look like the beginning of a text in UTF-8 or Latin-1."""
    return bool(head) and not _NO_TEXT.search(head)


def _kind_of_zip(head: bytes) -> str:
    """Return which document a ZIP file is.

    Empty for an Office document that does not show it early, `zip` if it is not a document.
    """
    if not head.startswith(b"PK\x03\x04"):
        return ""
    if b"[Content_Types].xml" in head or b"_rels/" in head:
        return next((kind for name, kind in _OFFICE.items() if name in head), "")
    if head[30:38] == b"mimetype":
        return next((kind for name, kind in _OPEN_DOCUMENTS.items() if name in head[:120]), "")
    return "zip"
