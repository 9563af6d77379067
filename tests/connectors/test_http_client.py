"""Calls over a bad network: real sockets on loopback, a server that misbehaves, and a clock that
the test moves where it can."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from connectors.net.http_client import HttpClient
from connectors.net.http_response import HttpResponse, has_end, json_object
from connectors.net.timeouts import Timeouts
from connectors.sandbox.altinn3.faults import gzip_bomb
from connectors.sandbox.http_server import Manner, Response, Stream
from daemon.core.errors import MailboxUnavailable
from tests.connectors.http_tools import (  # noqa: F401  # a fixture
    JSON,
    QUICK,
    RESET,
    Server,
    download,
    get,
    new_clock,
    new_http,
    new_server,
    stream,
)


def test_an_answer_comes_with_its_meaning(http: HttpClient, server: Server) -> None:
    """A 200 is understood, a 4xx is left to the caller, and no compression is ever asked for."""
    assert get(http, server).value == {"fine": True}
    server.script = [Response(status=404, body=b'{"errorCode": 1001}', headers=JSON)]
    assert (get(http, server).status, get(http, server).status) == (404, 200)
    assert {each.headers["accept-encoding"] for each in server.requests} == {"identity"}


BLIPS = {
    "reset": RESET,
    "502": Response(status=502),
    "503": Response(status=503),
    "504": Response(status=504),
    "503 with a short wait": Response(status=503, headers=(("Retry-After", "0"),)),
    "429 with a short wait": Response(status=429, headers=(("Retry-After", "0"),)),
    "cut, length announced": Response(
        status=200, body=Stream(chunks=[b"{"], length=14, chunked=False), manner=Manner(cut_after=1)
    ),
    "cut, chunked": Response(
        status=200, body=Stream(chunks=[b"{"], length=14), manner=Manner(cut_after=1)
    ),
}


@pytest.mark.parametrize("blip", BLIPS.values(), ids=list(BLIPS))
def test_a_blip_is_got_over_within_the_call(
    http: HttpClient, server: Server, blip: Response
) -> None:
    """Two blips in a row cost two more requests and nothing else; a third one ends the call."""
    server.script = [blip, blip]
    assert get(http, server).value == {"fine": True}
    server.script = [blip, blip, blip]
    with pytest.raises(MailboxUnavailable):
        get(http, server)
    assert len(server.requests) == 6


@pytest.mark.parametrize("blip", [RESET, Response(status=503)], ids=["reset", "503"])
def test_what_tells_something_is_sent_once(
    http: HttpClient, server: Server, blip: Response
) -> None:
    """A POST is not repeated within the call: whether it took effect is for its caller to find
    out."""
    server.script = [blip]
    with pytest.raises(MailboxUnavailable):
        http.post(f"{server.url}/x", {})
    assert len(server.requests) == 1


NONSENSE = {
    "500": (Response(status=500), "answered 500"),
    "429": (Response(status=429), "answered 429"),
    "a page": (
        Response(
            status=200, body=b"<html>Maintenance</html>", headers=(("Content-Type", "text/html"),)
        ),
        "no sense .text/html.",
    ),
    "a list": (Response(status=200, body=b"[]", headers=JSON), "no sense"),
    "deep": (Response(status=200, body=b"[" * 100_000, headers=JSON), "no sense"),
    "a login page": (
        Response(status=302, headers=(("Location", "https://login.example/"),)),
        "redirect",
    ),
    "compressed": (
        Response(status=200, body=b"\x1f\x8b", headers=(*JSON, ("Content-Encoding", "gzip"))),
        "compressed",
    ),
    "too much": (stream(17_000_000), "larger than 16 MiB"),
}


@pytest.mark.parametrize(("answer", "words"), NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_no_answer(
    http: HttpClient, server: Server, answer: Response, words: str
) -> None:
    """What cannot come from the application is told in words, once, and nothing follows it or
    unpacks it."""
    server.script = [answer]
    with pytest.raises(MailboxUnavailable, match=words):
        get(http, server)
    assert len(server.requests) == 1


def test_a_bomb_takes_no_memory(http: HttpClient, server: Server) -> None:
    """A small body that would unpack to a gigabyte is never unpacked."""
    bomb = gzip_bomb(1024)
    assert bomb.instead
    server.script = [bomb.instead()]
    tracemalloc.start()
    with pytest.raises(MailboxUnavailable):
        get(http, server)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


WAITS: dict[str, Callable[[], str]] = {
    "seconds": lambda: "120",
    "a date": lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True),
}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("wait", WAITS.values(), ids=list(WAITS))
def test_a_long_wait_that_is_asked_for_ends_the_call(
    http: HttpClient, server: Server, status: int, wait: Callable[[], str]
) -> None:
    """A long Retry-After is handed on instead of being waited for, and nothing is asked again."""
    server.script = [Response(status=status, headers=(("Retry-After", wait()),))]
    with pytest.raises(MailboxUnavailable) as caught:
        get(http, server)
    assert caught.value.retry_after
    assert timedelta(seconds=110) < caught.value.retry_after <= timedelta(seconds=120)
    assert len(server.requests) == 1


def test_a_drip_ends_with_the_deadline(server: Server) -> None:
    """A server that sends a byte now and then, and so never runs into a timeout, holds a call no
    longer than the whole may take."""
    http = HttpClient(longest_pause=300, timeouts=Timeouts(step=5, whole=0.3, retry_delays=()))
    server.then = Response(status=200, body=bytes(10_000), manner=Manner(seconds_per_byte=0.02))
    with (
        closing(http),
        pytest.raises(MailboxUnavailable, match=r"answer in 0\.3 seconds|no answer in time"),
    ):
        get(http, server)


def test_a_head_that_drips_ends_with_the_deadline() -> None:
    """The deadline holds from the first byte on, not only once there is a body."""
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(_drip_a_head, listener, stopping)
        http = HttpClient(longest_pause=300, timeouts=Timeouts(step=5, whole=0.3, retry_delays=()))
        with (
            closing(http),
            pytest.raises(MailboxUnavailable, match=r"answer in 0\.3 seconds|no answer in time"),
        ):
            http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/x", {})
        stopping.set()


def _drip_a_head(listener: socket.socket, stopping: threading.Event) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not stopping.wait(0.02):
            connection.sendall(b"x")


def test_silence_ends_with_the_timeout(server: Server) -> None:
    """A server that says nothing holds a call no longer than one step may take."""
    http = HttpClient(longest_pause=300, timeouts=Timeouts(step=0.2, retry_delays=()))
    server.then = Response(status=200, body=bytes(10), manner=Manner(seconds_per_byte=5))
    with closing(http), pytest.raises(MailboxUnavailable, match="no answer in time"):
        get(http, server)


def test_a_refused_connection_says_so(http: HttpClient, server: Server) -> None:
    """A host that is not there is named, with the reason."""
    server.stop()
    with pytest.raises(MailboxUnavailable, match=r"127\.0\.0\.1:[0-9]+ .*connection refused"):
        get(http, server)


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_a_download_is_streamed_in_pieces(http: HttpClient, server: Server, chunked: bool) -> None:
    """The pieces are neither tiny nor whole; together they are all that was sent."""
    server.then = stream(1_000_000, chunked=chunked)
    with closing(download(http, server)) as reply:
        sizes = [len(chunk) for chunk in reply.chunks]
    assert has_end(reply.headers)
    assert sum(sizes) == 1_000_000
    assert all(65_536 <= size <= 262_144 for size in sizes[:-1])


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_a_download_that_is_cut_short_is_no_download(
    http: HttpClient, server: Server, chunked: bool
) -> None:
    """A body that ends too early raises at its end, with and without a length in the head."""
    server.then = stream(1_000_000, chunked=chunked, manner=Manner(cut_after=500_000))
    with (
        closing(download(http, server)) as reply,
        pytest.raises(MailboxUnavailable, match="tried again"),
    ):
        list(reply.chunks)


def test_a_download_that_drips_is_given_up(http: HttpClient, server: Server) -> None:
    """A download has no deadline, but a lowest rate."""
    server.then = stream(1_000_000, manner=Manner(seconds_per_byte=0.02))
    with (
        closing(download(http, server)) as reply,
        pytest.raises(MailboxUnavailable, match="less than 1024 bytes a second"),
    ):
        list(reply.chunks)


def test_a_slow_reader_is_not_held_against_the_server(http: HttpClient, server: Server) -> None:
    """The time that the receiver takes for what it got, here more than a window, does not count as
    waiting."""
    server.then = stream(1_000_000)
    with closing(download(http, server)) as reply:
        first = next(reply.chunks)
        time.sleep(QUICK.window * 1.5)
        assert len(first) + sum(len(chunk) for chunk in reply.chunks) == 1_000_000


def test_a_download_that_is_refused_is_an_answer(http: HttpClient, server: Server) -> None:
    """What comes instead of a stream can be read, and a blip before the stream is got over."""
    server.script = [RESET, Response(status=400, body=b'{"errorCode": 2019}', headers=JSON)]
    reply = http.download(f"{server.url}/x", {})
    assert isinstance(reply, HttpResponse)
    assert json_object(reply.body) == {"errorCode": 2019}


def test_a_compressed_download_is_refused(http: HttpClient, server: Server) -> None:
    """An attachment is taken as it is or not at all."""
    bomb = gzip_bomb(1)
    assert bomb.instead
    server.then = bomb.instead()
    with pytest.raises(MailboxUnavailable, match="compressed"):
        http.download(f"{server.url}/x", {})


def test_nothing_of_libcurl_exists_before_the_first_call(server: Server) -> None:
    """The service forks after its mailboxes are made, so a new client has no handle: libcurl is
    not even loaded."""
    script = (
        "import sys\n"
        "import connectors.mailboxes.altinn3\n"
        "from connectors.net.http_client import HttpClient\n"
        "http = HttpClient(longest_pause=1)\n"
        "before = 'pycurl' in sys.modules\n"
        f"status = http.get('{server.url}/x', {{}}).status\n"
        "print(before, status, 'pycurl' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert told.stdout.split() == [b"False", b"200", b"True"]


def test_certificates_are_verified(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    """A certificate of an unknown authority ends the call with a hint at `ca_file`; with that it is
    trusted."""
    with Server(server_tls) as server:
        with (
            closing(HttpClient(longest_pause=300, timeouts=QUICK)) as http,
            pytest.raises(MailboxUnavailable, match="ca_file"),
        ):
            get(http, server)
        with closing(HttpClient(longest_pause=300, timeouts=QUICK, ca_file=ca_file)) as http:
            assert get(http, server).status == 200


@pytest.mark.parametrize("store", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_systems_authorities_are_trusted(
    server_tls: ssl.SSLContext,
    ca_file: Path,
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """libcurl's own OpenSSL trusts what the system's trusts, be it a file or a folder of hashes,
    and still does with an authority of the operator's in addition."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, os.devnull)
    shutil.copy(ca_file, tmp_path / "ca.pem")
    if store == "SSL_CERT_DIR":
        subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
        monkeypatch.setenv(store, str(tmp_path))
    else:
        monkeypatch.setenv(store, str(tmp_path / "ca.pem"))
    another = tmp_path / "another.pem"
    trustme.CA().cert_pem.write_to_path(str(another))
    with Server(server_tls) as server:
        for own in (None, another):
            with closing(HttpClient(longest_pause=300, timeouts=QUICK, ca_file=own)) as http:
                assert get(http, server).status == 200


def _tls(authority: trustme.CA, *names: str, **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **more).configure_cert(context)
    return context


def test_what_is_wrong_with_tls_is_told(authority: trustme.CA, ca_file: Path) -> None:
    """Another name, a certificate that has expired, and a server without TLS each have their own
    words, and none of them is repeated within the call."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for tls, words in (
        (_tls(authority, "other.example"), "certificate cannot be verified .*name"),
        (_tls(authority, "127.0.0.1", not_after=yesterday), "certificate has expired"),
        (None, "no encrypted connection could be made .wrong version number"),
    ):
        with (
            Server(tls) as server,
            closing(HttpClient(longest_pause=300, timeouts=QUICK, ca_file=ca_file)) as http,
            pytest.raises(MailboxUnavailable, match=words),
        ):
            http.get(f"https://127.0.0.1:{server.port}/x", {})
        assert server.requests == []


def test_a_name_that_is_unknown_is_told(http: HttpClient) -> None:
    """A host that has no address is not called, and its name is what is complained of."""
    with pytest.raises(MailboxUnavailable, match=r"name cannot be resolved .it is unknown"):
        http.get("https://no-such-host.invalid/x", {})


def test_no_other_protocol_is_spoken(http: HttpClient, tmp_path: Path) -> None:
    """libcurl could read files; it is not allowed to."""
    (tmp_path / "secret").write_text("hush")
    for url in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
        with pytest.raises(MailboxUnavailable):
            http.get(url, {})


def test_a_proxy_of_the_environment_is_not_found_by_libcurl(
    http: HttpClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which proxy is used is decided before, so libcurl itself looks at no variable."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(http, server).status == 200


def test_many_open_files_do_no_harm(server: Server) -> None:
    """select, on which libcurl's Python module waits, knows no file descriptor above 1023; a call
    beyond that is still made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with ExitStack() as stack:
            for _ in range(1100):
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            http = HttpClient(longest_pause=300, timeouts=QUICK)
            with closing(http):
                for _ in range(3):
                    assert get(http, server).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
