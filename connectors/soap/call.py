"""HTTP for SOAP: one call, whose answer must be whole.

The request is streamed, so an attachment is never whole in memory; zeep's own transport would hold it
several times, and logs it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from connectors.net.safe_client import (
    AnswerTooLarge,
    BoundedResponse,
    CallFailed,
    RequestBody,
    SafeClient,
)

__all__ = [
    "LARGEST_ANSWER",
    "AnswerTooLarge",
    "CallFailed",
    "RequestBody",
    "SoapAnswer",
    "SoapCaller",
]

LARGEST_ANSWER = 4 << 20
"""Bytes of an answer, unless the caller expects more."""

SoapAnswer = BoundedResponse
"""What came back, whole."""


class SoapCaller:
    """Makes calls, from any number of threads; each has a connection of its own.

    `seconds` is for the whole of a call, `largest` in bytes for its answer. Credentials in `basic`
    (name and password) go with each call.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        seconds: float,
        largest: int = LARGEST_ANSWER,
        basic: tuple[str, str] | None = None,
    ) -> None:
        self._client = SafeClient(tls=tls, seconds=seconds, largest=largest, basic=basic)

    def get(self, url: str) -> SoapAnswer:
        """Fetch what lies there. Raises CallFailed."""
        return self._client.whole("GET", url, {})

    def post(self, url: str, headers: Mapping[str, str], body: RequestBody) -> SoapAnswer:
        """Send a request, once. Raises CallFailed, or whatever reading the body raises."""
        return self._client.whole("POST", url, headers, body)

    def close(self) -> None:
        """Close connections. May be called twice."""
        self._client.close()
