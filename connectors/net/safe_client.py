"""HTTP for connectors that call a server named by the operator: the webhook, and SOAP.

No redirect is followed, no .netrc is used, no proxy but the one that is meant for the address, and
nothing is decompressed.
Each call has a connection of its own, the response is bounded, and one time limit covers the whole
exchange.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from connectors.net.diagnostics import CHECK_PROXY, explain_error, remedy_for
from connectors.net.httpx_deadline import ExchangeDeadline
from connectors.net.proxy_problem import NEEDS_LOGIN, ProxyProblem
from connectors.net.retry_after import http_date, retry_after
from connectors.net.status import REDIRECTS
from daemon.core.callbacks import do_nothing
from daemon.core.proxies import Proxies, Proxy

_TOO_SLOW = "check whether it is overloaded, or raise timeout"


class CallFailed(Exception):
    """No usable response came back.

    `str` says why, without showing what was sent or received; `remedy` says what to do.
    """

    def __init__(self, reason: str, remedy: str = CHECK_PROXY) -> None:
        self.remedy = remedy
        super().__init__(reason)


class AnswerTooLarge(CallFailed):
    """The response is larger than the caller accepts; the request has been carried out."""


@dataclass(frozen=True, kw_only=True)
class RequestBody:
    """A request's body of `size` bytes, which may be too large for memory."""

    chunks: Iterable[bytes]
    size: int
    confirm: Callable[[], None] = do_nothing
    """Called when the server waits for the body; if it raises, nothing of that is sent."""

    def confirmed(self) -> Iterator[bytes]:
        """Yield the chunks, once."""
        self.confirm()
        yield from self.chunks


@dataclass(frozen=True, kw_only=True)
class BoundedResponse:
    """A response.

    `status_code`, `headers`, `content` and `encoding` have the names that zeep reads.
    """

    status_code: int
    headers: Mapping[str, str]
    """Names are found in any case."""
    content: bytes
    """As received, never decompressed."""
    encoding: str = "utf-8"

    @property
    def media_type(self) -> str:
        """The media type without parameters, such as `text/xml`; empty if the response has none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def wait(self) -> timedelta | None:
        """The wait that Retry-After asks for; a date in it is read by the server's clock."""
        theirs = http_date(self.headers.get("date", "")) or datetime.now(UTC)
        return retry_after(self.headers.get("retry-after", ""), theirs)


class SafeClient:
    """Makes calls, from any number of threads.

    `seconds` limits a whole call, `largest` its response in bytes. Credentials in `basic` (name and
    password) are sent with each call. Without `proxies`, calls are direct.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        seconds: float,
        largest: int,
        basic: tuple[str, str] | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self.seconds = seconds
        self._largest = largest
        self._tls = tls
        self._basic = basic
        self._proxies = proxies or Proxies()
        self._clients: dict[Proxy | None, httpx.Client] = {}
        self._lock = threading.Lock()

    def whole(
        self, method: str, url: str, headers: Mapping[str, str], body: RequestBody | None = None
    ) -> BoundedResponse:
        """Call once and read the whole response, which is neither a redirect nor compressed.

        Raises CallFailed, AnswerTooLarge, and what reading the request's body raises.
        """
        with self._exchange(method, url, headers, body) as response:
            _refuse(response)
            content = bytearray()
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > self._largest:
                    raise AnswerTooLarge(f"its answer is larger than {self._largest:,} bytes")
            return _bounded(response, bytes(content))

    def status(
        self, method: str, url: str, headers: Mapping[str, str], body: RequestBody
    ) -> BoundedResponse:
        """Call once, for the status. The response's body is read as far as possible, and dropped.

        Reading it only spares the server a broken connection; a body that is truncated, slow or too
        large does not change the result. Raises CallFailed, and what reading the request's body
        raises.
        """
        with self._exchange(method, url, headers, body) as response:
            size = 0
            with suppress(httpx.HTTPError):
                for chunk in response.iter_raw():
                    size += len(chunk)
                    if size >= self._largest:
                        break
            return _bounded(response, b"")

    def close(self) -> None:
        """Close connections. May be called twice."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for each in clients.values():
            each.close()

    def _client(self, proxy: Proxy | None) -> httpx.Client:
        with self._lock:
            if proxy not in self._clients:
                self._clients[proxy] = self._new_client(proxy)
            return self._clients[proxy]

    def _new_client(self, proxy: Proxy | None) -> httpx.Client:
        basic = self._basic
        return httpx.Client(
            verify=self._tls,
            auth=httpx.BasicAuth(*(text.encode() for text in basic)) if basic else None,
            timeout=self.seconds,
            follow_redirects=False,
            trust_env=False,  # what counts of it is in the proxies already
            proxy=proxy.secret_url if proxy else None,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"user-agent": "postmottak", "accept-encoding": "identity"},
        )

    @contextmanager
    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: RequestBody | None
    ) -> Iterator[httpx.Response]:
        sized = {"content-length": str(body.size)} if body else {}
        proxy = self._proxies.of(url)
        with ExchangeDeadline(self.seconds) as deadline:
            try:
                with self._client(proxy).stream(
                    method,
                    url,
                    headers={**headers, **sized},
                    content=body.confirmed() if body else None,
                    extensions=deadline.extensions,
                ) as response:
                    if proxy and response.status_code == NEEDS_LOGIN:
                        raise _of_proxy(ProxyProblem.refused(proxy, NEEDS_LOGIN))
                    yield response
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise self._failed(error, deadline, proxy, url) from error

    def _failed(
        self, error: Exception, deadline: ExchangeDeadline, proxy: Proxy | None, url: str
    ) -> CallFailed:
        if proxy and (found := _proxy_problem(error, deadline, proxy, url)):
            return _of_proxy(found)
        if deadline.passed:
            reason = f"it sent no complete answer within {self.seconds:g} seconds"
            return CallFailed(reason, _TOO_SLOW)
        reason = explain_error(error, "it sent no complete answer")
        return CallFailed(reason, remedy_for(error))


def _of_proxy(problem: ProxyProblem) -> CallFailed:
    return CallFailed(str(problem), problem.remedy)


def _proxy_problem(
    error: Exception, deadline: ExchangeDeadline, proxy: Proxy, url: str
) -> ProxyProblem | None:
    """Return what is wrong with the proxy; None if the error is the server's."""
    if not deadline.reached:
        return ProxyProblem.unreachable(proxy, explain_error(error, ""))
    if deadline.tunnelled or not url.startswith("https:"):
        return None
    if isinstance(error, httpx.ProxyError):
        status = str(error).partition(" ")[0]
        return ProxyProblem.refused(proxy, int(status)) if status.isdigit() else None
    if deadline.passed or isinstance(error, httpx.TimeoutException):
        return ProxyProblem.silent(proxy)
    return ProxyProblem.cut(proxy)


def _refuse(response: httpx.Response) -> None:
    """Raise CallFailed for a response that is not the server's own, before it is read."""
    if response.status_code in REDIRECTS:
        reason = f"it answers with status {response.status_code}, a redirect, which is not followed"
        raise CallFailed(reason, "write the address that it leads to")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise CallFailed("its answer is compressed, which was not asked for")


def _bounded(response: httpx.Response, content: bytes) -> BoundedResponse:
    return BoundedResponse(
        status_code=response.status_code, headers=response.headers, content=content
    )
