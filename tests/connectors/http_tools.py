"""A server that answers as scripted, a clock that the test moves, and calls between them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator

import pytest

from connectors.net.http_client import Download, HttpClient
from connectors.net.http_response import HttpResponse, json_object
from connectors.net.timeouts import Timeouts
from connectors.sandbox.http_server import LoopbackServer, Manner, Request, Response, Stream

JSON = (("Content-Type", "application/json"),)
FINE = Response(status=200, body=b'{"fine": true}', headers=JSON)
RESET = Response(status=200, manner=Manner(reset=True))
QUICK = Timeouts(
    connect=2, step=2, whole=5, window=0.3, retry_delays=(0.001, 0.001), longest_retry_after=1
)


class Server(LoopbackServer):
    """Answers as scripted, and then always fine."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(self._next, tls=tls)
        self.script: list[Response] = []
        self.then = FINE
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    def _next(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
            return self.script.pop(0) if self.script else self.then


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="server")
def new_server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(name="clock")
def new_clock() -> Clock:
    return Clock()


@pytest.fixture(name="http")
def new_http(clock: Clock) -> Iterator[HttpClient]:
    made = HttpClient(longest_pause=300, timeouts=QUICK, clock=clock)
    yield made
    made.close()


def get(http: HttpClient, server: Server) -> HttpResponse:
    return http.get(f"{server.url}/x", {"Accept": "application/json"}, json_object)


def download(http: HttpClient, server: Server) -> Download:
    reply = http.download(f"{server.url}/x", {})
    assert isinstance(reply, Download)
    return reply


def stream(size: int, *, chunked: bool = True, manner: Manner | None = None) -> Response:
    body = Stream(chunks=[bytes(10_000)] * (size // 10_000), length=size, chunked=chunked)
    return Response(
        status=200,
        body=body,
        headers=(("Content-Disposition", "attachment"),),
        manner=manner or Manner(),
    )
