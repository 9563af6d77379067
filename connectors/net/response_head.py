"""The head of a response as libcurl hands it on, and whether it can be relied on.

libcurl accepts much that is not HTTP to the letter. What programs could differ about, above all
where the body ends, is refused here, so that nothing is guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

LARGEST_HEAD = 100 * 1024
"""In bytes, with informational responses before it."""
_HEAD = re.compile(
    rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*)"
    rb"\r\n"
)
_INFORMATIONAL = b"1"
_SWITCHED = b"101"
_MOST_DIGITS = 18  # of a length; more do not fit into 64 bits
_FRAMING = frozenset({"content-length", "transfer-encoding"})


class ProtocolError(Exception):
    """What came is not a response, or its end is ambiguous.

    Or what was to be sent would not be a valid request.
    """


class ResponseHead(NamedTuple):
    """The head of a response."""

    status: int
    headers: Mapping[str, str]
    """By their lower-case names; of repeated ones, the last."""


def read_head(received: bytes) -> ResponseHead | None:
    """Return the head in what has come before a body; None if so far it is only announced (1xx).

    What follows it are trailers, which are ignored. Raises ProtocolError.
    """
    if len(received) > LARGEST_HEAD:
        raise ProtocolError
    place = 0
    while place < len(received):
        found = _HEAD.match(received, place)
        if not found or found[1] == _SWITCHED:
            raise ProtocolError
        if not found[1].startswith(_INFORMATIONAL):
            return ResponseHead(int(found[1]), _headers(found[2].decode("latin-1")))
        place = found.end()
    return None


def _headers(fields: str) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for line in fields.split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in _FRAMING and name in headers:
            raise ProtocolError
        headers[name] = value.strip(" \t")
    if headers.keys() & _FRAMING:
        _require_one_end(headers.get("content-length"), headers.get("transfer-encoding"))
    return headers


def _require_one_end(length: str | None, coding: str | None) -> None:
    """Raise ProtocolError unless it is clear where the body ends."""
    if coding is not None and (length is not None or coding.lower() != "chunked"):
        raise ProtocolError
    if length is not None and not (
        length.isascii() and length.isdigit() and len(length) <= _MOST_DIGITS
    ):
        raise ProtocolError
