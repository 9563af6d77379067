"""MTOM: an envelope and its contents side by side in one multipart message, each as plain bytes.

Sources: W3C XOP 1.0 and MTOM, RFC 2387 (multipart/related), RFC 2392 (cid), W3C Describing Media
Content of Binary Data in XML (contentType). What services require beyond these (a charset, 8bit,
quoted parameters) is in Microsoft's description of WCF's messages.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.parser import BytesParser
from typing import TYPE_CHECKING

from connectors.soap.call import SoapAnswer
from connectors.soap.fields import Content

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MULTIPART = "multipart/related"
XMIME = ("http://www.w3.org/2005/05/xmlmime", "http://www.w3.org/2004/11/xmlmime")
"""The namespaces in which a schema says what kind of bytes an element holds."""
_INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
_ROOT = "envelope@postmottak"
_ACTION = re.compile(r'action="[^"]*"')
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")


@dataclass(frozen=True, kw_only=True)
class MimePart:
    """One content, with the name under which the envelope includes it."""

    content_id: str
    media_type: str
    content: Content


def take_out(envelope: Element, contents: Mapping[str, Content]) -> list[MimePart]:
    """Put a reference into each element whose text is a mark in `contents`.

    Returns the parts that are referred to, in the envelope's order.
    """
    from lxml import etree

    parts: list[MimePart] = []
    for element in list(envelope.iter()):
        content = contents.get(element.text or "")
        if content is not None:
            part = MimePart(
                content_id=f"{len(parts) + 1}.{secrets.token_hex(8)}@postmottak",
                media_type=_media_type(element),
                content=content,
            )
            element.text = None
            etree.SubElement(
                element,
                _INCLUDE,
                {"href": f"cid:{part.content_id}"},
                nsmap={"xop": etree.QName(_INCLUDE).namespace},
            )
            parts.append(part)
    return parts


def _media_type(element: Element) -> str:
    named = next(
        (
            element.get(f"{{{each}}}contentType")
            for each in XMIME
            if element.get(f"{{{each}}}contentType")
        ),
        "",
    )
    return named if _MEDIA_TYPE.fullmatch(named) else "application/octet-stream"


@dataclass(frozen=True)
class Package:
    """The multipart message around one envelope.

    `soap_type` is the Content-Type that the envelope would have alone. The boundary is random, so
    that an attachment cannot contain it on purpose.
    """

    soap_type: str
    boundary: str

    @property
    def content_type(self) -> str:
        """The Content-Type of the whole message."""
        action = _ACTION.search(self.soap_type)  # SOAP 1.2 has it there
        told = (
            f'type="application/xop+xml"; start="<{_ROOT}>"; start-info="{self._media}"; '
            f'boundary="{self.boundary}"'
        )
        return f"{MULTIPART}; {told}" + (f"; {action[0]}" if action else "")

    def pieces(
        self, envelope: list[bytes | Content], parts: list[MimePart]
    ) -> Iterator[bytes | Content]:
        """Yield the message: `envelope` and each part's bytes, with headers and boundaries."""
        described = f'application/xop+xml; charset=utf-8; type="{self._media}"'
        yield self._head("", described, "8bit", _ROOT)
        yield from envelope
        for part in parts:
            yield self._head("\r\n", part.media_type, "binary", part.content_id)
            yield part.content
        yield f"\r\n--{self.boundary}--\r\n".encode()

    @property
    def _media(self) -> str:
        return self.soap_type.partition(";")[0].strip()

    def _head(self, before: str, media_type: str, encoding: str, content_id: str) -> bytes:
        described = (
            f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\nContent-ID: "
            f"<{content_id}>"
        )
        return f"{before}--{self.boundary}\r\n{described}\r\n\r\n".encode()


def new_package(soap_type: str) -> Package:
    """Return a package with a new boundary."""
    return Package(soap_type, f"postmottak-{secrets.token_hex(16)}")


def root_of(answer: SoapAnswer) -> SoapAnswer:
    """Reduce a response in several parts to its envelope.

    Any other response, and one whose parts cannot be told apart, is returned unchanged.
    """
    if answer.media_type != MULTIPART:
        return answer
    head = f"Content-Type: {answer.headers.get('content-type', '')}\r\n\r\n".encode(
        "ascii", "replace"
    )
    message = BytesParser().parsebytes(head + answer.content)
    parts = [each for each in message.walk() if not each.is_multipart()]
    start = str(message.get_param("start") or "")
    root = next(
        (each for each in parts if start and str(each["content-id"]).strip() == start), parts[0]
    )
    found = root.get_payload(decode=True) if message.is_multipart() else None
    return replace(answer, content=found) if found and isinstance(found, bytes) else answer
