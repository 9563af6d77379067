"""The request on its way: zeep writes the envelope with a mark where each attachment belongs, and the bytes are streamed in there.

So an attachment of any size takes little memory. Only a signed request is whole in memory, about six times the size of its attachments:
the signature is over the bytes.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from connectors.soap.call import Body, SoapAnswer, SoapCaller
from connectors.soap.fields import Content
from connectors.soap.wsdl import NoLoading

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_MARK = 24
"""Bytes; a multiple of three, so that base64 ends in no padding."""


class TooLarge(Exception):
    """The request would be larger than is allowed; `size` in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()


class Contents:
    """The contents of one request, each by the mark that stands for it."""

    def __init__(self) -> None:
        self._by_mark: dict[bytes, Content] = {}

    def place(self, content: Content) -> bytes:
        """Bytes to put into the request for the content."""
        mark = secrets.token_bytes(_MARK)
        self._by_mark[base64.b64encode(mark)] = content
        return mark

    @property
    def size(self) -> int:
        """How many bytes they take as base64."""
        return sum(_encoded_size(content) for content in self._by_mark.values())

    def fill(self, envelope: Element) -> None:
        """Put the contents themselves into the envelope."""
        for element in envelope.iter():
            content = self._by_mark.get((element.text or "").encode("utf-8", "replace"))
            if content:
                element.text = b"".join(_encoded(content)).decode("ascii")
        self._by_mark.clear()

    def body(self, data: bytes) -> Body:
        """The request of which `data` is the envelope."""
        if not self._by_mark:
            return Body(chunks=[data], size=len(data))
        pieces = re.split(b"(" + b"|".join(re.escape(mark) for mark in self._by_mark) + b")", data)
        size = sum(_encoded_size(self._by_mark[piece]) if piece in self._by_mark else len(piece) for piece in pieces)
        return Body(chunks=self._chunks(pieces), size=size)

    def _chunks(self, pieces: list[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            content = self._by_mark.get(piece)
            if content is None:
                yield piece
            else:
                yield from _encoded(content)


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
    """Sends one envelope with its contents, at most `largest` bytes. For one call. Raises TooLarge, and as SoapCaller does."""

    def __init__(self, caller: SoapCaller, contents: Contents, largest: int) -> None:
        self._caller = caller
        self._contents = contents
        self._largest = largest

    def post_xml(self, address: str, envelope: Element, headers: Mapping[str, Any]) -> SoapAnswer:
        """Send; zeep calls this."""
        from lxml import etree

        body = self._contents.body(etree.tostring(envelope, xml_declaration=True, encoding="utf-8"))
        if body.size > self._largest:
            raise TooLarge(body.size)
        return self._caller.post(address, headers, body)
