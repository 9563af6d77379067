"""Take the attachments out of a response onto disk before zeep, which would copy them, reads it.

In their place is a number, in base64, which zeep reads as `AttachmentData`.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.altinn2.spool import Spooled
from connectors.soap.call import CallFailed, SoapAnswer

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_REFERENCE = re.compile(rb"&#(x[0-9a-fA-F]{1,8}|[0-9]{1,10});")
_CHUNK = 1 << 20  # a multiple of four, so that each piece is whole base64


def unpack(answer: SoapAnswer, operation: str) -> tuple[SoapAnswer, list[Spooled]]:
    """Return the answer without its attachments' bytes, and the attachments.

    Raises CallFailed if it is not XML, neither an answer of that operation nor a fault, if an
    attachment is not base64, or if there is no room.
    """
    from lxml import etree

    found: list[Spooled] = []
    steps = etree.iterparse(
        io.BytesIO(_readable(answer.content)),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=True,
        remove_comments=True,
    )
    try:
        for _, element in steps:
            if _name(element) == "AttachmentData" and element.get(_NIL) not in {"true", "1"}:
                found.append(_spool(element))
                element.text = base64.b64encode(str(len(found) - 1).encode()).decode()
        _check(steps.root, operation)
        lean = etree.tostring(steps.root, xml_declaration=True, encoding="utf-8")
    except BaseException as error:
        for each in found:
            each.close()
        if isinstance(error, OSError):
            reason = (error.strerror or "no reason given").lower()
            raise CallFailed(
                f"its attachments cannot be stored on this machine ({reason}); make room in the "
                "temporary folder"
            ) from error
        if isinstance(error, (etree.XMLSyntaxError, binascii.Error, ValueError)):
            raise CallFailed(
                "its answer is not complete XML, or has an attachment that is not base64"
            ) from None
        raise
    return replace(answer, content=lean, encoding="utf-8"), found


def _readable(content: bytes) -> bytes:
    """Replace what XML cannot hold, which .NET writes anyway, by U+FFFD.

    One such letter must not hide the others in its list.
    """
    return _REFERENCE.sub(
        lambda found: found[0] if _is_xml(found[1].decode()) else b"&#xFFFD;", content
    )


def _is_xml(reference: str) -> bool:
    code = int(reference[1:], 16) if reference.startswith("x") else int(reference)
    return (
        code in {9, 10, 13}
        or 0x20 <= code < 0xD800  # noqa: PLR2004
        or 0xE000 <= code < 0xFFFE  # noqa: PLR2004
        or 0x10000 <= code < 0x110000  # noqa: PLR2004
    )  # XML 1.0, Char


def _check(root: Element, operation: str) -> None:
    if root.getroottree().docinfo.doctype:
        raise CallFailed("its answer has a DTD, which is not read")
    inside = [each for body in root if _name(body) == "Body" for each in body]
    if len(inside) != 1 or _name(inside[0]) not in {f"{operation}Response", "Fault"}:
        raise CallFailed("its answer does not belong to the request")


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _spool(element: Element) -> Spooled:
    text = "".join((element.text or "").split())
    spooled = Spooled()
    try:
        for start in range(0, len(text), _CHUNK):
            spooled.file.write(base64.b64decode(text[start : start + _CHUNK], validate=True))
        spooled.file.flush()
    except BaseException:
        with suppress(OSError):
            spooled.close()
        raise
    return spooled
