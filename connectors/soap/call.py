"""HTTP for SOAP: one call, with a limit on the whole of it and on the answer's size, no redirect followed and no proxy asked.

The request is streamed, so an attachment is never whole in memory; zeep's own transport would hold
it several times, and logs it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from connectors.net.diagnostics import explain_error
from connectors.net.httpx_deadline import ExchangeDeadline
from connectors.net.retry_after import http_date, retry_after

LARGEST_ANSWER = 4 << 20
"""Bytes of an answer, unless the caller expects more."""

_REDIRECTS = range(300, 400)


class CallFailed(Exception):
    """No answer that could be judged came back: `str` says why, without a word of what was sent or received."""


class AnswerTooLarge(CallFailed):
    """The answer has more bytes than the caller takes; the request has been carried out."""


@dataclass(frozen=True, kw_only=True)
class SoapAnswer:
    """What came back, whole.

    The names of `status_code`, `headers`, `content` and `encoding` are those that zeep reads.
    """

    status_code: int
    headers: Mapping[str, str]
    """Names are found in any case."""
    content: bytes
    encoding: str = "utf-8"

    @property
    def media_type(self) -> str:
        """Such as `text/xml`, without parameters; empty if the answer does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def wait(self) -> timedelta | None:
        """The wait that the answer asks for."""
        theirs = http_date(self.headers.get("date", "")) or datetime.now(UTC)
        return retry_after(self.headers.get("retry-after", ""), theirs)


@dataclass(frozen=True, kw_only=True)
class RequestBody:
    """A request's body of `size` bytes, which may be too large to be whole in memory."""

    chunks: Iterable[bytes]
    size: int


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
        self.seconds = seconds
        self._largest = largest
        self._client = httpx.Client(
            verify=tls,
            auth=httpx.BasicAuth(*(text.encode() for text in basic)) if basic else None,
            timeout=seconds,
            # a proxy or a .netrc of the service's environment must not decide where letters go
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"user-agent": "postmottak", "accept-encoding": "identity"},
        )

    def get(self, url: str) -> SoapAnswer:
        """Fetch what lies there. Raises CallFailed."""
        return self._exchange("GET", url, {}, None)

    def post(self, url: str, headers: Mapping[str, str], body: RequestBody) -> SoapAnswer:
        """Send a request, once. Raises CallFailed, or what reading the body raises."""
        return self._exchange(
            "POST", url, {**headers, "content-length": str(body.size)}, body.chunks
        )

    def close(self) -> None:
        """Let go of connections. May be called twice."""
        self._client.close()

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: Iterable[bytes] | None
    ) -> SoapAnswer:
        with ExchangeDeadline(self.seconds) as deadline:
            try:
                with self._client.stream(
                    method, url, headers=headers, content=content, extensions=deadline.extensions
                ) as answer:
                    return self._whole(answer)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                late = f"it gave no whole answer within {self.seconds:g} seconds"
                reason = (
                    late
                    if deadline.passed
                    else explain_error(error, "what came back is no whole answer")
                )
                raise CallFailed(reason) from error

    def _whole(self, answer: httpx.Response) -> SoapAnswer:
        if answer.status_code in _REDIRECTS:
            raise CallFailed(
                f"it answers with status {answer.status_code}, a redirect, which is not followed"
            )
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise CallFailed("its answer is compressed, which was not asked for")
        content = bytearray()
        for chunk in answer.iter_raw():
            content += chunk
            if len(content) > self._largest:
                raise AnswerTooLarge(f"its answer is larger than {self._largest:,} bytes")
        return SoapAnswer(
            status_code=answer.status_code, headers=answer.headers, content=bytes(content)
        )
