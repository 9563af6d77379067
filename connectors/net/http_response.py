"""The result of a call: a response of the application, or a problem on the way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connectors.net.diagnostics import CHECK_PROXY
from connectors.net.response_head import ResponseHead
from connectors.net.retry_after import http_date, retry_after
from daemon.core.outside_values import json_from

LARGEST_ANSWER = 16 * 1024 * 1024
"""In bytes, of a response that is read as a whole."""
OK = 200
_REDIRECTS = range(300, 400)
_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)
_BLIPS = frozenset({502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """What the application at the other end responded. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    value: Any = None
    """The parsed body of a 200, if the caller gave a parser."""

    @property
    def date(self) -> datetime | None:
        """The other side's clock, to the second."""
        return http_date(self.headers.get("date", ""))


Parser = Callable[[bytes], Any]
"""Parses a body. Raises ValueError if it makes no sense."""


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, with values that every store can hold.

    See daemon/core/outside_values.py. Raises ValueError.
    """
    value = json_from(body)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  # nonsense from outside is a bad value
    return value


class TransportProblem(Exception):
    """A call without a response of the application.

    `again`: repeating it at once may help. `remedy`: what to do if it persists. `too_many`: the
    server takes no more calls of this client now.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        retry_after: float | None = None,
        remedy: str = "",
        too_many: bool = False,
    ) -> None:
        self.too_many = too_many
        self.again = again
        self.retry_after = retry_after
        self.remedy = remedy
        super().__init__(reason)


def whole(head: ResponseHead, body: bytes) -> HttpResponse:
    """Return the response. Raises TransportProblem if its body is compressed."""
    refuse_encodings(head.headers)
    return HttpResponse(status=head.status, headers=head.headers, body=body)


def refuse_encodings(headers: Mapping[str, str]) -> None:
    """Raise TransportProblem for a compressed body.

    None was requested, and a small one can hold a very large one.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise TransportProblem(
            "its answer is compressed, which was not asked for", remedy=CHECK_PROXY
        )


def validate(answer: HttpResponse, parse: Parser | None) -> HttpResponse:
    """Return the response, with the parsed body of a 200, if it is likely the application's own.

    Raises TransportProblem.
    """
    if answer.status in _REDIRECTS:
        raise TransportProblem(
            "it answers with a redirect, as a login page would", remedy=CHECK_PROXY
        )
    if answer.status in _SERVER_ERRORS or answer.status == _TOO_MANY:
        raise TransportProblem(
            f"it answered {answer.status}",
            again=answer.status in _BLIPS,
            retry_after=_retry_after(answer),
            too_many=answer.status == _TOO_MANY,
        )
    if answer.status != OK or parse is None:
        return answer
    try:
        return replace(answer, value=parse(answer.body))
    except ValueError as error:
        kind = answer.headers.get("content-type", "no content type").partition(";")[0]
        raise TransportProblem(f"its answer makes no sense ({kind})", remedy=CHECK_PROXY) from error


def _retry_after(answer: HttpResponse) -> float | None:
    """Return how many seconds the server asks to wait, or None.

    A date is read by the server's own clock.
    """
    wait = retry_after(answer.headers.get("retry-after", ""), answer.date or datetime.now(UTC))
    return None if wait is None else wait.total_seconds()


def has_end(headers: Mapping[str, str]) -> bool:
    """Whether a truncated body would be noticed."""
    return "content-length" in headers or "transfer-encoding" in headers
