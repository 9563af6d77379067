"""HTTP for SOAP: one call, whose response is read completely.

The request is streamed, so an attachment is never in memory as a whole; zeep's own transport would
hold it several times, and logs it.
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
from daemon.core.proxies import Proxies

__all__ = [
    "LARGEST_ANSWER",
    "AnswerTooLarge",
    "CallFailed",
    "RequestBody",
    "SoapAnswer",
    "SoapCaller",
]

LARGEST_ANSWER = 4 << 20
"""The largest response in bytes, unless the caller expects more."""

SoapAnswer = BoundedResponse
"""A complete response."""


class SoapCaller:
    """Makes calls, from any number of threads; each has a connection of its own.

    `seconds` limits a whole call, `largest` its response in bytes. Credentials in `basic` (name and
    password) are sent with each call. Without `proxies`, calls are direct.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        seconds: float,
        largest: int = LARGEST_ANSWER,
        basic: tuple[str, str] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._client = SafeClient(
            tls=tls, seconds=seconds, largest=largest, basic=basic, proxies=proxies
        )

    def get(self, url: str) -> SoapAnswer:
        """Fetch what is at the address. Raises CallFailed."""
        return self._client.whole("GET", url, {})

    def post(self, url: str, headers: Mapping[str, str], body: RequestBody) -> SoapAnswer:
        """Send a request once. Raises CallFailed, and what reading the body raises."""
        return self._client.whole("POST", url, headers, body)

    def close(self) -> None:
        """Close connections. May be called twice."""
        self._client.close()
