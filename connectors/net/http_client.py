"""HTTP for the mailboxes of Altinn; this module decides how a failed call is treated.

Every call has a timeout for each step and a limit on the whole; responses are bounded, never
decompressed, and redirects are not followed. Anything but a response of the application itself
becomes HostUnavailable, and counts against the host (see circuit_breaker.py).
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from connectors.net.circuit_breaker import HostGuard, HostUnavailable
from connectors.net.diagnostics import explain_error, remedy_for
from connectors.net.http_connection import HttpConnection, ProtocolError, ResponseHead
from connectors.net.http_response import (
    OK,
    HttpResponse,
    Parser,
    TransportProblem,
    refuse_encodings,
    validate,
    whole,
)
from connectors.net.limits import Deadline, Limit, MinimumRate, TransferTooSlow, Unreachable
from connectors.net.pool import ConnectionPool, Origin
from daemon.core.elapsed import SourceTime, elapsed

_CHUNK = 64 * 1024

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long calls may take; in seconds, and bytes per second."""

    connect: float = 10
    step: float = 20
    """For each wait for the server."""
    whole: float = 30
    """For a call with all its retries, and for a download until it begins."""
    min_rate: float = 1024
    """A slower download is aborted."""
    window: float = 60
    """The time over which `min_rate` is measured."""
    retry_delays: tuple[float, ...] = (0.3, 1.0)
    """The pauses before each retry of a call after a transient failure."""
    longest_retry_after: float = 3
    """The longest Retry-After that is waited for within a call."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """The beginning of a streamed body. The caller must close it."""

    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    """Pieces of at least 64 KiB, except the last.

    Raises HostUnavailable if the body breaks off or is too slow.
    """
    close: Callable[[], None]

    @property
    def whole(self) -> bool:
        """Whether a truncated body would be noticed."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


@dataclass(frozen=True, kw_only=True)
class _Call:
    method: str
    url: SplitResult
    headers: Mapping[str, str]
    content: bytes = b""
    parse: Parser | None = None

    @property
    def host(self) -> str:
        return self.url.netloc

    @property
    def origin(self) -> Origin:
        encrypted = self.url.scheme == "https"
        return Origin(
            self.url.hostname or "", self.url.port or (443 if encrypted else 80), encrypted
        )

    @property
    def target(self) -> str:
        return (self.url.path or "/") + (f"?{self.url.query}" if self.url.query else "")

    def over(self, line: HttpConnection) -> ResponseHead:
        """Send it over `line` and return the head of the response."""
        own = {"Host": self.host, "User-Agent": "postmottak", "Accept-Encoding": "identity"}
        if self.method != "GET":
            own["Content-Length"] = str(len(self.content))
        return line.ask(
            self.method, self.target, [*own.items(), *self.headers.items()], self.content
        )


class HttpClient:
    """Calls over connections that are kept open. All methods may be called from several threads.

    `ca_file` is trusted in addition to the system's authorities. A host that is down is not called
    for `longest_pause` seconds at most, as `clock` counts them.
    """

    def __init__(
        self,
        *,
        longest_pause: float,
        ca_file: Path | None = None,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._longest_pause = longest_pause
        self._clock = clock
        self._guards: dict[str, HostGuard] = {}
        self.heard: SourceTime | None = None
        """The server's clock, as last seen in a response."""
        self._pool = ConnectionPool(
            _trust(ca_file), connect=self._timeouts.connect, step=self._timeouts.step
        )

    def apart(self) -> HttpClient:
        """Return a client with the same settings and connections, for calls that may fail.

        Their failures do not count against the hosts of this one.
        """
        other = copy(self)
        other._guards = {}  # noqa: SLF001  # of its own class
        return other

    def get(
        self, url: str, headers: Mapping[str, str], parse: Parser | None = None
    ) -> HttpResponse:
        """Return the response: a 200 that `parse` accepts, or any 4xx but 429.

        Transient failures are retried within the call. Raises HostUnavailable.
        """
        call = _Call(method="GET", url=urlsplit(url), headers=headers, parse=parse)
        deadline = Deadline(self._timeouts.whole)
        return self._with_retries(
            call, lambda: self._answer(call, deadline), self._timeouts.retry_delays
        )

    def post(
        self,
        url: str,
        headers: Mapping[str, str],
        content: bytes = b"",
        parse: Parser | None = None,
    ) -> HttpResponse:
        """Do the same as `get`, but try only once."""
        call = _Call(
            method="POST", url=urlsplit(url), headers=headers, content=content, parse=parse
        )
        deadline = Deadline(self._timeouts.whole)
        return self._with_retries(call, lambda: self._answer(call, deadline), ())

    def download(self, url: str, headers: Mapping[str, str]) -> Download | HttpResponse:
        """Return the stream of a 200, or the response that came instead.

        A transient failure before it begins is retried. Raises HostUnavailable.
        """
        call = _Call(method="GET", url=urlsplit(url), headers=headers)
        deadline = Deadline(self._timeouts.whole)
        return self._with_retries(
            call, lambda: self._begin(call, deadline), self._timeouts.retry_delays
        )

    def close(self) -> None:
        """Close the connections; another call opens them again."""
        self._pool.close()

    def _guard(self, host: str) -> HostGuard:
        found = self._guards.get(host)
        return found or self._guards.setdefault(
            host, HostGuard(host, longest=self._longest_pause, clock=self._clock)
        )

    def _with_retries(
        self, call: _Call, attempt: Callable[[], _Result], retry_delays: Sequence[float]
    ) -> _Result:
        left = list(retry_delays)
        while True:
            try:
                with self._guard(call.host).call():
                    return attempt()
            except TransportProblem as trouble:
                if not left or not self._worth_repeating(trouble):
                    raise _unavailable(call.host, trouble) from trouble
                # jitter keeps no secret
                pause = left.pop(0) * random.uniform(0.5, 1.5)  # noqa: S311
                wait = max(pause, trouble.retry_after or 0)
            time.sleep(wait)

    def _worth_repeating(self, trouble: TransportProblem) -> bool:
        if trouble.retry_after is not None:
            return trouble.retry_after <= self._timeouts.longest_retry_after
        return trouble.again

    def _answer(self, call: _Call, limit: Limit) -> HttpResponse:
        with _mapping_transport_problems(), self._pool.line(call.origin, limit) as line:
            answer = validate(whole(call.over(line), line), call.parse)
        self._hear(answer)
        return answer

    def _hear(self, answer: HttpResponse) -> None:
        """Note the time of a response that comes directly from the application.

        Sources: RFC 9110 6.6.1, RFC 9111 5.1.
        """
        date = answer.date
        if date and "age" not in answer.headers:
            self.heard = SourceTime(date=date, at=elapsed())

    def _begin(self, call: _Call, limit: Limit) -> Download | HttpResponse:
        with ExitStack() as stack, _mapping_transport_problems():
            line = stack.enter_context(self._pool.line(call.origin, limit))
            head = call.over(line)
            if head.status != OK:
                return validate(whole(head, line), None)
            refuse_encodings(head.headers)
            return Download(
                headers=head.headers,
                chunks=self._chunks(call.host, line),
                close=stack.pop_all().close,
            )

    def _chunks(self, host: str, line: HttpConnection) -> Iterator[bytes]:
        line.wire.limit = MinimumRate(self._timeouts.min_rate, self._timeouts.window)
        try:
            with _mapping_transport_problems():
                yield from _gathered(line.body())
        except TransportProblem as trouble:
            self._guard(host).record_failure(str(trouble))
            raise _unavailable(host, trouble) from trouble


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, at least 64 KiB at a time; the last piece may be shorter."""
    chunk, size = [], 0
    for piece in pieces:
        chunk.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _unavailable(host: str, trouble: TransportProblem) -> HostUnavailable:
    asked = timedelta(seconds=trouble.retry_after) if trouble.retry_after is not None else None
    remedy = f". If this persists, {trouble.remedy}" if trouble.remedy else ""
    return HostUnavailable(
        f"{host} cannot be used now: {trouble}; it is tried again at the next poll{remedy}",
        retry_after=asked,
    )


@contextmanager
def _mapping_transport_problems() -> Iterator[None]:
    """Turn network errors into TransportProblem."""
    try:
        yield
    except TransferTooSlow as error:
        raise TransportProblem(str(error)) from error
    except TimeoutError as error:
        raise TransportProblem("there was no answer in time", remedy=remedy_for(error)) from error
    except (Unreachable, OSError, ProtocolError) as error:
        raise TransportProblem(
            explain_error(error, "the connection broke off"),
            again=_is_blip(error),
            remedy=remedy_for(error),
        ) from error


def _is_blip(error: Exception) -> bool:
    """Return whether an established connection, or one being opened, broke.

    A host that refuses connections or has no name does not count.
    """
    return not isinstance(error, Unreachable) or isinstance(error.__cause__, ConnectionResetError)
