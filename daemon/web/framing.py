"""Where a request begins and ends: whatever two readers could understand in two ways is refused.

A proxy in front of us that sees the end of a request elsewhere than we do would take the rest for
another client's request (request smuggling). h11 is lenient, so heads are checked before it reads
them. Source: RFC 9112, sections 2.2, 5.2, 6.1, 6.3 and 11.2.
"""

from __future__ import annotations

import re

import h11

_END_OF_HEAD = re.compile(rb"\n\r?\n")  # where h11 sees it
_LENGTH = re.compile(rb"[0-9]{1,18}")


def head_fault(received: bytes) -> str | None:
    """Return what is ambiguous in the head of a request.

    None if nothing is, or while the head is incomplete.
    """
    end = _END_OF_HEAD.search(received)
    if not end:
        return None
    lines = received[: end.start()].removesuffix(b"\r").split(b"\r\n")
    if end.group() != b"\n\r\n" or any(
        b"\r" in line or b"\n" in line or b"\0" in line for line in lines
    ):
        return "a line of the head does not end with CR LF"
    if any(line[:1] in {b" ", b"\t"} for line in lines):
        return "a header is folded"
    fields = [
        (name.lower(), value.strip(b" \t"))
        for name, _, value in (line.partition(b":") for line in lines[1:])
    ]
    return _length_fault(lines[0], fields)


def _length_fault(request_line: bytes, fields: list[tuple[bytes, bytes]]) -> str | None:
    """Return what is ambiguous in the length of the body, or None."""
    lengths = [value for name, value in fields if name.strip() == b"content-length"]
    codings = [value for name, value in fields if name.strip() == b"transfer-encoding"]
    if lengths and codings:
        return "Content-Length and Transfer-Encoding exclude each other"
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(value) for value in lengths):
        return "Content-Length is not one number"
    if codings and (
        len(codings) > 1
        or codings[0].lower() != b"chunked"
        or not request_line.endswith(b" HTTP/1.1")
    ):
        return "Transfer-Encoding is not the one of HTTP/1.1, chunked"
    return None


class StrictConnection(h11.Connection):
    """A server's h11 connection that refuses ambiguous heads and large bodies.

    A body is large if it has more than `largest_body` bytes.
    """

    def __init__(self, largest_head: int, largest_body: int) -> None:
        super().__init__(h11.SERVER, largest_head)
        self._largest_body, self._body = largest_body, 0
        self.refusal = 400
        """The status of the answer to a client that causes RemoteProtocolError."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        """As h11 does. Also raises h11.RemoteProtocolError for what is refused here."""
        if self.their_state is h11.IDLE and (fault := head_fault(self.trailing_data[0])):
            raise h11.RemoteProtocolError(fault)
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._body = 0
            self._refuse_above_limit(
                sum(int(value) for name, value in event.headers if name == b"content-length")
            )
        elif isinstance(event, h11.Data):
            self._body += len(event.data)
            self._refuse_above_limit(self._body)
        return event

    def _refuse_above_limit(self, size: int) -> None:
        if size > self._largest_body:
            self.refusal = 413
            raise h11.RemoteProtocolError(
                f"the body is longer than {self._largest_body} bytes", error_status_hint=413
            )
