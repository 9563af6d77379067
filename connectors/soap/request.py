"""Stream a request: zeep writes the envelope with a mark for each attachment, replaced on sending.

The bytes are sent inside the envelope as base64 or, with MTOM, after it as they are. So an
attachment of any size takes little memory. Only a signed request is in memory as a whole, about six
times the size of its attachments, because the signature covers the bytes.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from connectors.soap.call import RequestBody, SoapAnswer, SoapCaller
from connectors.soap.fields import Content
from connectors.soap.mtom import new_package, take_out
from connectors.soap.wsdl import NoLoading

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_MARK = 24
"""Bytes; a multiple of three, so that base64 ends without padding."""


class RequestTooLarge(Exception):
    """The request would be larger than the limit; `size` in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()


class Contents:
    """The contents of one request, by the marks that stand for them.

    With `mtom`, contents are sent beside the envelope where possible.
    """

    def __init__(self, *, mtom: bool = False) -> None:
        self._mtom = mtom
        self._inside: dict[str, Content] = {}
        self._beside: dict[str, Content] = {}
        self._filled: list[tuple[Element, str]] = []

    def place(self, content: Content, *, binary: bool) -> bytes:
        """Return the bytes to put into the request for the content.

        `binary`: into an element of a base64 type.
        """
        mark = secrets.token_bytes(_MARK)
        chosen = self._beside if self._mtom and binary else self._inside
        chosen[base64.b64encode(mark).decode()] = content
        return mark

    @property
    def size(self) -> int:
        """The number of bytes that the contents take in the request."""
        return sum(map(_encoded_size, self._inside.values())) + sum(
            content.size for content in self._beside.values()
        )

    def fill(self, envelope: Element) -> None:
        """Put the contents themselves into the envelope as base64.

        XOP requires the signature to cover that form, also for contents that are sent beside the
        envelope.
        """
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
        """Put marks back in place of the contents that are sent beside the envelope."""
        for element, mark in self._filled:
            element.text = mark
        self._filled.clear()

    def body(self, envelope: Element, content_type: str) -> tuple[RequestBody, str]:
        """Return the request's body with this envelope, and its Content-Type.

        `content_type` describes the envelope alone.
        """
        if not self._mtom:
            return _body(self._pieces(envelope)), content_type
        package = new_package(content_type)
        parts = take_out(envelope, self._beside)
        return _body(list(package.pieces(self._pieces(envelope), parts))), package.content_type

    def _pieces(self, envelope: Element) -> list[bytes | Content]:
        """Return the envelope, with contents where they belong inside."""
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

    For one call. `confirm` is called right before. Raises RequestTooLarge, what `confirm` raises,
    and as SoapCaller does.
    """

    def __init__(
        self,
        caller: SoapCaller,
        contents: Contents,
        largest: int,
        confirm: Callable[[], None],
    ) -> None:
        self._caller, self._contents, self._largest = caller, contents, largest
        self._confirm = confirm

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, Any]) -> SoapAnswer:
        """Send the envelope; called by zeep."""
        body, content_type = self._contents.body(envelope, headers["Content-Type"])
        if body.size > self._largest:
            raise RequestTooLarge(body.size)
        headers = {**headers, "Content-Type": content_type}
        return self._caller.post(address, headers, replace(body, confirm=self._confirm))
