"""What callers of a web endpoint can take of the process: real connections, and limits so short
that a test can wait for them."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from daemon.config.listen import Address
from daemon.web.limits import Limits
from daemon.web.server import WebServer

_PATIENCE = 30  # seconds in which what must happen has to happen
_TO_STOP = 10  # seconds in which the endpoint has to end
_GET = b"GET /ok HTTP/1.1\r\nHost: endpoint\r\n\r\n"
_LARGE = 64 << 20


async def _echo(request: Request) -> Response:
    """How many bytes came as the body."""
    return JSONResponse({"length": len(await request.body())})


def _application(folder: Path) -> Starlette:
    with (folder / "large").open("wb") as large:
        large.truncate(_LARGE)
    return Starlette(
        routes=[
            Route("/ok", lambda _: JSONResponse({"ok": True})),
            Route("/echo", _echo, methods=["POST"]),
            Route("/large", lambda _: FileResponse(folder / "large")),
        ]
    )


@contextmanager
def serving(folder: Path, limits: Limits, application: Starlette | None = None) -> Iterator[Path]:
    """An endpoint on a Unix socket until the block ends."""
    path = folder / "endpoint.sock"
    application = application or _application(folder)
    server = WebServer("the endpoint", application, Address(path=path), limits=limits)
    stopping = threading.Event()
    thread = threading.Thread(target=server.loop, args=(stopping, lambda: None))
    thread.start()
    try:
        _wait_until(path.exists)
        yield path
    finally:
        stopping.set()
        server.stop()
        thread.join(_TO_STOP)
        assert not thread.is_alive()


def _wait_until(is_so: object) -> None:
    assert callable(is_so)
    ends = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def connected(path: Path, data: bytes = b"") -> socket.socket:
    """A connection on which so much was said."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_PATIENCE)
    connection.connect(str(path))
    connection.sendall(data)
    return connection


def answers(connection: socket.socket) -> bytes:
    """Everything that comes until the other side ends the connection."""
    found = bytearray()
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return bytes(found)


def statuses(path: Path, *said: bytes) -> list[int]:
    """The statuses of all answers to what was said on one connection, which the endpoint has to
    end."""
    with connected(path) as connection:
        for each in said:
            try:
                connection.sendall(each)
            except (BrokenPipeError, ConnectionResetError):
                break
        lines = answers(connection).split(b"HTTP/1.1 ")[1:]
    return [int(line[:3]) for line in lines]


def test_one_that_waits_gives_way_to_one_that_asks(tmp_path: Path) -> None:
    """Ten times as many idle and half-open connections as may be open keep nobody out who asks."""
    with serving(tmp_path, Limits(connections=8, request_within=60)) as path, ExitStack() as ends:
        idle = [
            ends.enter_context(connected(path, _GET[: number % 3 * 10])) for number in range(80)
        ]
        with connected(path, _GET) as asking:
            assert asking.recv(65536).startswith(b"HTTP/1.1 200")
        _wait_until(lambda: sum(map(_has_ended, idle)) >= 72)
        assert sum(map(_has_ended, idle)) < 80


def _has_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "said",
    [b"", _GET[:20], b"POST /echo HTTP/1.1\r\nHost: endpoint\r\nContent-Length: 500\r\n\r\nab"],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_request_arrives_in_time_or_not_at_all(tmp_path: Path, said: bytes) -> None:
    """The server does not wait for a client that says nothing, or stops in the middle; a byte now
    and then makes no difference."""
    with serving(tmp_path, Limits(request_within=0.5)) as path, connected(path, said) as connection:
        ends = time.monotonic() + _PATIENCE
        try:
            while said and time.monotonic() < ends:
                connection.sendall(b"a")
                time.sleep(0.1)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() < ends
        assert b"200" not in answers(connection)


def test_one_that_does_not_read_its_answer(tmp_path: Path) -> None:
    """A large attachment is not held open for somebody who asks for it and reads nothing, and one
    who reads has all of it."""
    ask = b"GET /large HTTP/1.1\r\nHost: endpoint\r\nConnection: close\r\n\r\n"
    with serving(tmp_path, Limits(stalled=1)) as path:
        with connected(path, ask) as reading:
            assert len(answers(reading)) > _LARGE
        with connected(path, ask) as stalling:
            _wait_until_left(stalling)
            assert 0 < len(answers(stalling)) < _LARGE


def _wait_until_left(connection: socket.socket) -> None:
    """Wait until the other side has ended the connection, and read nothing of what it has sent."""
    watched = select.poll()
    watched.register(connection, select.POLLRDHUP)
    assert watched.poll(_PATIENCE * 1000)


def _chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 4096):
        yield b"1000\r\n" + 4096 * b"x" + b"\r\n"
    yield b"0\r\n\r\n"


def test_a_body_is_not_read_beyond_its_limit(tmp_path: Path) -> None:
    """A long body is refused as soon as its length is said, or as it comes; one at the limit is
    taken."""
    head = b"POST /echo HTTP/1.1\r\nHost: endpoint\r\nConnection: close\r\n"
    with serving(tmp_path, Limits(body=8192)) as path:
        assert statuses(path, head + b"Content-Length: 8193\r\n\r\n") == [413]
        assert statuses(path, head + b"Content-Length: 8192\r\n\r\n", 8192 * b"x") == [200]
        assert statuses(path, head + b"Transfer-Encoding: chunked\r\n\r\n", *_chunks(8192)) == [200]
        assert statuses(
            path, head + b"Transfer-Encoding: chunked\r\n\r\n", *_chunks(300 << 20)
        ) == [413]
        assert statuses(
            path,
            head.replace(b"/echo", b"/none") + b"Transfer-Encoding: chunked\r\n\r\n",
            *_chunks(64 << 20),
        ) != [200]


_POST = b"POST /echo HTTP/1.1\r\nHost: endpoint\r\n"
_AMBIGUOUS: dict[str, bytes] = {
    "both": _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, the other way round": _POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "two lengths that agree": _POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": _POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": _POST + b"Content-Length: +5\r\n\r\nhello",
    "an empty length": _POST + b"Content-Length:\r\n\r\nhello",
    "a length too long for a number": _POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "a coding that is not chunked": _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding in disguise": _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": _POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": _POST.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": _POST + b"Content-Length : 5\r\n\r\nhello",
    "a folded header": _POST + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "a folded coding": _POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": _POST.replace(b"\r", b"") + b"Content-Length: 5\n\nhello",
    "one bare line feed": _POST + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "a bare line feed at the end": _POST + b"Content-Length: 5\r\n\nhello",
    "a bare carriage return": _POST + b"X: a\rContent-Length: 5\r\n\r\n",
    "a null byte": _POST + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    "two hosts": _POST + b"Host: other\r\nContent-Length: 5\r\n\r\nhello",
    "no host": b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "a chunk's length with a sign": _POST
    + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": _POST
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n0\r\n\r\n",
    "a chunk with bare line feeds": _POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
}


@pytest.mark.parametrize("said", _AMBIGUOUS.values(), ids=_AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path, said: bytes) -> None:
    """One answer, 400, and the end of the connection: what follows is never taken for a request of
    its own."""
    with serving(tmp_path, Limits()) as path:
        assert statuses(path, said + _GET) == [400]


def test_what_can_be_read_in_one_way_is_answered(tmp_path: Path) -> None:
    """Bodies of both kinds, and requests one after another without waiting, each get their answer,
    byte by byte as well."""
    requests = [
        _POST + b"Content-Length: 5\r\n\r\nhello",
        _POST + b"transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]
    last = _GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    whole = b"".join([*requests, _GET, last])
    with serving(tmp_path, Limits()) as path:
        assert statuses(path, whole) == [200] * 4
        assert (
            statuses(path, *(whole[place : place + 1] for place in range(len(whole)))) == [200] * 4
        )


def test_a_refusal_is_read_by_a_client_that_goes_on_sending(tmp_path: Path) -> None:
    """The refusal, as problem+json, reaches a sender that does not look before it has sent
    everything."""
    body = 100_000 * b"x"
    with (
        serving(tmp_path, Limits(body=8192)) as path,
        connected(path, _POST + b"Content-Length: 100000\r\n\r\n" + body) as connection,
    ):
        head, _, text = answers(connection).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(text) == {
        "type": "about:blank",
        "title": HTTPStatus(413).phrase,
        "status": 413,
        "detail": "the request is too long",
    }


def test_stopping_waits_for_nobody_who_does_not_read(tmp_path: Path) -> None:
    """A client that is in the middle of an answer and does not read it holds up the service's end
    for some seconds at most."""
    with serving(tmp_path, Limits()) as path:
        stalling = connected(path, b"GET /large HTTP/1.1\r\nHost: endpoint\r\n\r\n")
        assert stalling.recv(1) == b"H"
    stalling.close()
