"""The request on its way: zeep writes the envelope with a mark where each attachment belongs, and the bytes are streamed.

They go in there as base64, or with MTOM behind the envelope as they are. So an attachment of any
size takes little memory. Only a signed request is whole in memory, about six times the size of its
attachments: the signature is over the bytes.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from connectors.soap.call import RequestBody, SoapAnswer, SoapCaller
from connectors.soap.fields import Content
from connectors.soap.mtom import new_package, take_out
from connectors.soap.wsdl import NoLoading

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_MARK = 24
"""Bytes; a multiple of three, so that base64 ends in no padding."""


class RequestTooLarge(Exception):
    """The request would be larger than is allowed; `size` in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()


class Contents:
    """The contents of one request, each by the mark that stands for it.

    With `mtom`, those that can be go beside the envelope.
    """

    def __init__(self, *, mtom: bool = False) -> None:
        self._mtom = mtom
        self._inside: dict[str, Content] = {}
        self._beside: dict[str, Content] = {}
        self._filled: list[tuple[Element, str]] = []

    def place(self, content: Content, *, binary: bool) -> bytes:
        """Bytes to put into the request for the content.

        `binary`: into an element that is base64 by its type.
        """
        mark = secrets.token_bytes(_MARK)
        chosen = self._beside if self._mtom and binary else self._inside
        chosen[base64.b64encode(mark).decode()] = content
        return mark

    @property
    def size(self) -> int:
        """How many bytes they take in the request."""
        return sum(map(_encoded_size, self._inside.values())) + sum(
            content.size for content in self._beside.values()
        )

    def fill(self, envelope: Element) -> None:
        """Put the contents themselves into the envelope, as base64: that is what is signed, by XOP also of what goes beside it."""
        both = self._inside | self._beside
        for element in envelope.iter():
            for name, value in element.items():
                if value in both:
                    element.set(name, _text(both[value]))
            mark = element.text or ""
            if mark in both:
                element.text = _text(both[mark])
                self._filled += [(element, mark)] if mark in self._beside else []
        self._inside.clear()

    def take_back(self) -> None:
        """Put marks in place of those that go beside the envelope."""
        for element, mark in self._filled:
            element.text = mark
        self._filled.clear()

    def body(self, envelope: Element, content_type: str) -> tuple[RequestBody, str]:
        """The request with this envelope, which `content_type` describes.

        And what describes the request.
        """
        if not self._mtom:
            return _body(self._pieces(envelope)), content_type
        package = new_package(content_type)
        parts = take_out(envelope, self._beside)
        return _body(list(package.pieces(self._pieces(envelope), parts))), package.content_type

    def _pieces(self, envelope: Element) -> list[bytes | Content]:
        """The envelope, with contents where they belong inside."""
        from lxml import etree

        data = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        if not self._inside:
            return [data]
        marks = "|".join(re.escape(mark) for mark in self._inside).encode()
        pieces = re.split(b"(" + marks + b")", data)
        return [
            _as_base64(self._inside[piece.decode()]) if place % 2 else piece
            for place, piece in enumerate(pieces)
        ]


def _body(pieces: list[bytes | Content]) -> RequestBody:
    size = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces)
    return RequestBody(chunks=_chunks(pieces), size=size)


def _chunks(pieces: list[bytes | Content]) -> Iterator[bytes]:
    for piece in pieces:
        yield from [piece] if isinstance(piece, bytes) else piece.open()


def _as_base64(content: Content) -> Content:
    return Content(lambda: _encoded(content), _encoded_size(content))


def _text(content: Content) -> str:
    return b"".join(_encoded(content)).decode("ascii")


def _encoded_size(content: Content) -> int:
    return (content.size + 2) // 3 * 4


def _encoded(content: Content) -> Iterator[bytes]:
    left = b""
    for chunk in content.open():
        data = left + chunk
        whole = len(data) // 3 * 3
        left = data[whole:]
        yield base64.b64encode(data[:whole])
    yield base64.b64encode(left)


class StreamingTransport(NoLoading):
    """Sends one envelope with its contents, at most `largest` bytes.

    For one call. Raises TooLarge, and as SoapCaller does.
    """

    def __init__(self, caller: SoapCaller, contents: Contents, largest: int) -> None:
        self._caller = caller
        self._contents = contents
        self._largest = largest

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, Any]) -> SoapAnswer:
        """Send; zeep calls this."""
        body, content_type = self._contents.body(envelope, headers["Content-Type"])
        if body.size > self._largest:
            raise RequestTooLarge(body.size)
        return self._caller.post(address, {**headers, "Content-Type": content_type}, body)
