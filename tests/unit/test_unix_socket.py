"""An endpoint on a Unix socket: for whom it is, what it replaces, and what it leaves alone."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from daemon.config.listen import Address, ListenAddress
from daemon.monitoring.service_problems import ServiceProblems
from daemon.web import server
from daemon.web.listening import check_listening
from daemon.web.server import WebServer

ADDRESSES: TypeAdapter[Address] = TypeAdapter(ListenAddress)


def endpoint(path: Path, problems: ServiceProblems) -> WebServer:
    """An endpoint that says ok."""
    routes = [Route("/livez", lambda _: PlainTextResponse("ok"))]
    return WebServer(
        "the endpoint", Starlette(routes=routes), Address(path=path), problems=problems
    )


@contextmanager
def running(path: Path) -> Iterator[ServiceProblems]:
    """An endpoint's thread, until the block ends."""
    problems, stopping = ServiceProblems(), threading.Event()
    server = endpoint(path, problems)
    thread = threading.Thread(target=server.loop, args=(stopping, lambda: None))
    thread.start()
    try:
        yield problems
    finally:
        stopping.set()
        server.stop()
        thread.join()


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """An endpoint that is open until the block ends."""
    with running(path):
        wait_until(lambda: says_ok(path))  # a name that appears tells nobody
        yield


def refusal(path: Path) -> str:
    """What is told of an endpoint that cannot be opened."""
    with running(path) as problems:
        wait_until(problems.all)
        [problem] = problems.all()
        return problem.text


def wait_until(is_so: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def says_ok(path: Path) -> bool:
    """Whether the endpoint answers."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        try:
            return client.get("http://monitor/livez").text == "ok"
        except httpx.ConnectError:
            return False


def stale(path: Path) -> None:
    """A socket whose process was killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def test_owner_and_group_may_ask(tmp_path: Path) -> None:
    """It answers, has mode 0660, and nothing of it is left afterwards."""
    path = tmp_path / "monitor.sock"
    with opened(path):
        assert path.stat().st_mode & 0o777 == 0o660
    assert list(tmp_path.iterdir()) == []


def test_a_head_without_end_is_not_read_to_the_end(tmp_path: Path) -> None:
    """A client cannot fill the memory by asking without end."""
    path = tmp_path / "monitor.sock"
    with opened(path), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        asking.connect(str(path))
        asking.sendall(b"GET /livez HTTP/1.1\r\nHost: monitor\r\nX: ")
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            asking.sendall(bytes([97]) * 10_000_000)


def test_what_a_kill_leaves_is_replaced(tmp_path: Path) -> None:
    """A socket on which nobody listens, and one that was half made, do not stand in the way."""
    path = tmp_path / "monitor.sock"
    stale(path)
    stale(tmp_path / ".monitor.sock.new")
    with opened(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    """The second to listen is refused in words, and the first goes on answering."""
    path = tmp_path / "monitor.sock"
    with opened(path):
        assert re.match(
            r"the endpoint cannot listen on unix:.*monitor\.sock: something else listens there",
            refusal(path),
        )
        assert says_ok(path)


def test_a_socket_in_use_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second listens when the first has gone, and then nothing is wrong any more."""
    monkeypatch.setattr(server, "_AGAIN", 0.05)
    path = tmp_path / "monitor.sock"
    with opened(path):
        second = running(path)
        problems = second.__enter__()
        wait_until(problems.all)
    wait_until(lambda: says_ok(path))
    assert problems.all() == ()
    second.__exit__(None, None, None)


def test_a_check_tells_where_nobody_can_listen(tmp_path: Path) -> None:
    """What `check` says is what the service would meet, and a listener that exists already is not a
    fault, for it may be the service."""
    path = tmp_path / "monitor.sock"
    assert check_listening("the endpoint", Address(path=path)).ok
    with opened(path):
        found = check_listening("the endpoint", Address(path=path))
        assert (found.ok, "something listens on" in found.text) == (True, True)
    for address, words in (
        (Address(host="192.0.2.1", port=8765), "cannot assign"),  # RFC 5737: nobody's
        (
            Address(host="no-such-host.invalid", port=8765),
            "cannot listen on no-such-host.invalid:8765",
        ),
        (Address(path=tmp_path / "x" / "monitor.sock"), "no such file"),
    ):
        found = check_listening("the endpoint", address)
        assert (found.ok, words in found.text) == (False, True), found


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.touch, "other than a socket is there; move it away"),
        (Path.mkdir, "other than a socket"),
        (lambda path: path.symlink_to("x"), "other than a socket"),
    ],
    ids=["file", "folder", "link"],
)
def test_nothing_but_a_socket_is_replaced(tmp_path: Path, make: Any, words: str) -> None:
    """Whatever else has the name stays, and the error says what to do."""
    path = tmp_path / "monitor.sock"
    make(path)
    assert words in refusal(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    """Where the socket cannot be made, the error names it and the reason."""
    assert "x/monitor.sock: no such file or directory" in refusal(tmp_path / "x" / "monitor.sock")


@pytest.mark.parametrize(
    "text", ["127.0.0.1:8766", "localhost:1", "[::1]:65535", "unix:/run/postmottak/monitor.sock"]
)
def test_an_address_is_what_it_says(text: str) -> None:
    """Host and port, also of IPv6, and a socket's path."""
    assert str(ADDRESSES.validate_python(text)) == text


def test_a_path_is_beside_the_file(tmp_path: Path) -> None:
    """A relative path starts where every other one does."""
    assert (
        ADDRESSES.validate_python("unix:monitor.sock", context={"base": tmp_path}).path
        == tmp_path / "monitor.sock"
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "8766",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "::1:80",
        "http://127.0.0.1:80",
        "unix:",
        8766,
    ],
)
def test_what_is_no_address(value: object) -> None:
    """It is told, with what to write instead."""
    with pytest.raises(ValidationError, match='write host and port, such as "127'):
        ADDRESSES.validate_python(value)


def test_a_path_that_no_socket_can_have() -> None:
    """The system would cut it or refuse it at the start; it is told when the configuration is
    read."""
    with pytest.raises(ValidationError, match="at most 100 bytes"):
        ADDRESSES.validate_python(f"unix:/run/{'å' * 50}")
