"""HTTP for the mailboxes of Altinn; this module decides how a failed call is treated.

Every call has a timeout for each step and a limit on the whole; responses are bounded, never
decompressed, and redirects are not followed. Anything but a response of the application itself
becomes HostUnavailable, and counts against the host (see circuit_breaker.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from connectors.net.circuit_breaker import HostGuard
from connectors.net.http_batch import HttpBatch
from connectors.net.http_response import (
    LARGEST_ANSWER,
    OK,
    HttpResponse,
    Parser,
    TransportProblem,
    refuse_encodings,
    validate,
    whole,
)
from connectors.net.limits import Deadline
from connectors.net.pacer import Pacer
from connectors.net.pool import TransferPool
from connectors.net.timeouts import Timeouts
from connectors.net.transfer import HttpRequest, Transfer
from connectors.net.transport_problems import (
    host_unavailable,
    mapping_transport_problems,
    too_far_off,
)
from daemon.core.elapsed import SourceTime, elapsed
from daemon.core.proxies import Proxies

if TYPE_CHECKING:
    from connectors.net.transfers import Transfers

_CHUNK = 64 * 1024

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class Download:
    """The beginning of a streamed body. The caller must close it."""

    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    """Pieces of at least 64 KiB, except the last.

    Raises HostUnavailable if the body breaks off or is too slow.
    """
    close: Callable[[], None]


class HttpClient:
    """Calls over connections that are kept open. All methods may be called from several threads.

    `ca_file` is trusted in addition to the system's authorities; without `proxies`, all calls are
    direct. A host that is down is not called for `longest_pause` seconds at most, as `clock` counts
    them. Calls take turns at the `pacer`.
    """

    def __init__(
        self,
        *,
        longest_pause: float,
        ca_file: Path | None = None,
        proxies: Proxies | None = None,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.monotonic,
        pacer: Pacer | None = None,
    ) -> None:
        self._pacer = pacer
        self._timeouts = timeouts or Timeouts()
        self._longest_pause = longest_pause
        self._clock = clock
        self._guards: dict[str, HostGuard] = {}
        self.heard: SourceTime | None = None
        """The server's clock, as last seen in a response."""
        self._pool = TransferPool(
            ca_file=ca_file,
            proxies=proxies or Proxies(),
            connect=self._timeouts.connect,
            step=self._timeouts.step,
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
        request = HttpRequest(method="GET", url=url, headers=headers)
        deadline = self._deadline()
        return self._with_retries(
            request,
            lambda: self._answer(request, parse, deadline),
            self._timeouts.retry_delays,
        )

    def post(
        self,
        url: str,
        headers: Mapping[str, str],
        content: bytes = b"",
        parse: Parser | None = None,
    ) -> HttpResponse:
        """Do the same as `get`, but try only once."""
        request = HttpRequest(method="POST", url=url, headers=headers, content=content)
        deadline = self._deadline()
        return self._with_retries(request, lambda: self._answer(request, parse, deadline), ())

    def delete(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        """Delete what is at the address; tried only once, like `post`."""
        request = HttpRequest(method="DELETE", url=url, headers=headers)
        deadline = self._deadline()
        return self._with_retries(request, lambda: self._answer(request, None, deadline), ())

    def download(self, url: str, headers: Mapping[str, str]) -> Download | HttpResponse:
        """Return the stream of a 200, or the response that came instead.

        A transient failure before it begins is retried. Raises HostUnavailable.
        """
        request = HttpRequest(method="GET", url=url, headers=headers)
        deadline = self._deadline()
        return self._with_retries(
            request, lambda: self._begin(request, deadline), self._timeouts.retry_delays
        )

    @contextmanager
    def batch(self, at_once: int) -> Iterator[HttpBatch]:
        """Make many calls at once in this thread, at most `at_once`; see HttpBatch.

        What has not ended when the block is left is aborted.
        """
        with self._pool.lend() as transfers:
            yield HttpBatch(
                transfers,
                self._timeouts,
                guard_of=self._guard,
                hear=self._hear,
                at_once=at_once,
                pacer=self._pacer,
            )

    def close(self) -> None:
        """Close the connections; another call opens them again."""
        self._pool.close()

    def _deadline(self) -> Deadline:
        return Deadline(self._timeouts.whole, time.monotonic())

    def _guard(self, host: str) -> HostGuard:
        found = self._guards.get(host)
        return found or self._guards.setdefault(
            host, HostGuard(host, longest=self._longest_pause, clock=self._clock)
        )

    def _with_retries(
        self, request: HttpRequest, attempt: Callable[[], _Result], retry_delays: Sequence[float]
    ) -> _Result:
        left, host = list(retry_delays), request.host
        while True:
            self._take_turn(request)
            try:
                with self._guard(host).call():
                    return attempt()
            except TransportProblem as trouble:
                if trouble.too_many and self._pacer:
                    self._pacer.refused(request.url, trouble.retry_after)
                pause = self._timeouts.pause_before_retry(
                    left.pop(0) if left else None,
                    again=trouble.again,
                    retry_after=trouble.retry_after,
                )
                if pause is None:
                    raise host_unavailable(host, trouble) from trouble
            time.sleep(pause)

    def _take_turn(self, request: HttpRequest) -> None:
        """Wait until the pacer lets the call through. Raises HostUnavailable if that is far off."""
        wait = self._pacer.reserve(request.url) if self._pacer else 0.0
        if self._pacer and wait > self._timeouts.longest_turn:
            self._pacer.give_back(wait)
            raise too_far_off(request.host, wait)
        if wait:
            time.sleep(wait)

    def _answer(
        self, request: HttpRequest, parse: Parser | None, deadline: Deadline
    ) -> HttpResponse:
        with mapping_transport_problems(), self._pool.lend() as transfers:
            transfer = transfers.start(request, deadline)
            answer = _read(transfers, transfer)
        answer = validate(answer, parse)
        self._hear(answer)
        return answer

    def _hear(self, answer: HttpResponse) -> None:
        """Note the time of a response that comes directly from the application.

        Sources: RFC 9110 6.6.1, RFC 9111 5.1.
        """
        date = answer.date
        if date and "age" not in answer.headers:
            self.heard = SourceTime(date=date, at=elapsed())

    def _begin(self, request: HttpRequest, deadline: Deadline) -> Download | HttpResponse:
        with ExitStack() as stack, mapping_transport_problems():
            transfers = stack.enter_context(self._pool.lend())
            transfer = transfers.start(request, deadline)
            stack.callback(transfers.abandon, transfer)
            while not (transfer.head or transfer.ended):
                transfers.turn()
            head = transfer.require_head()
            if head.status != OK:
                return validate(_read(transfers, transfer), None)
            refuse_encodings(head.headers)
            return Download(
                headers=head.headers,
                chunks=self._chunks(request.host, transfers, transfer),
                close=stack.pop_all().close,
            )

    def _chunks(self, host: str, transfers: Transfers, transfer: Transfer) -> Iterator[bytes]:
        transfers.require_rate(transfer, self._timeouts.min_rate, self._timeouts.window)
        try:
            with mapping_transport_problems():
                yield from _gathered(_pieces(transfers, transfer))
        except TransportProblem as trouble:
            self._guard(host).record_failure(str(trouble))
            raise host_unavailable(host, trouble) from trouble


def _read(transfers: Transfers, transfer: Transfer) -> HttpResponse:
    """Wait for the whole response."""
    transfer.largest = LARGEST_ANSWER
    body = b"".join(_pieces(transfers, transfer))
    return whole(transfer.require_head(), body)


def _pieces(transfers: Transfers, transfer: Transfer) -> Iterator[bytes]:
    """Yield the body as it comes."""
    while not transfer.ended:
        yield from transfer.take()
        transfers.turn()
    yield from transfer.take()


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
