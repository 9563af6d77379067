"""Calls over a bad network: real sockets on loopback, a server that misbehaves, and a clock that the test moves where it can."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from connectors.http import Answer, Download, Http, Patience, json_object
from connectors.sandbox.faults import gzip_bomb
from connectors.sandbox.http_server import LoopbackServer, Manner, Request, Response, Stream
from daemon.errors import MailboxUnavailable

JSON = (("Content-Type", "application/json"),)
FINE = Response(status=200, body=b'{"fine": true}', headers=JSON)
RESET = Response(status=200, manner=Manner(reset=True))
QUICK = Patience(connect=2, step=2, whole=5, window=0.3, pauses=(0.001, 0.001), longest_wait=1)


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


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http(clock: Clock) -> Iterator[Http]:
    made = Http(longest_pause=300, patience=QUICK, clock=clock)
    yield made
    made.close()


def get(http: Http, server: Server) -> Answer:
    return http.get(f"{server.url}/x", {"Accept": "application/json"}, json_object)


def download(http: Http, server: Server) -> Download:
    reply = http.download(f"{server.url}/x", {})
    assert isinstance(reply, Download)
    return reply


def stream(size: int, *, chunked: bool = True, manner: Manner | None = None) -> Response:
    body = Stream(chunks=[bytes(10_000)] * (size // 10_000), length=size, chunked=chunked)
    return Response(status=200, body=body, headers=(("Content-Disposition", "attachment"),), manner=manner or Manner())


def test_an_answer_comes_with_its_meaning(http: Http, server: Server) -> None:
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
    "cut, length announced": Response(status=200, body=Stream(chunks=[b"{"], length=14, chunked=False), manner=Manner(cut_after=1)),
    "cut, chunked": Response(status=200, body=Stream(chunks=[b"{"], length=14), manner=Manner(cut_after=1)),
}


@pytest.mark.parametrize("blip", BLIPS.values(), ids=list(BLIPS))
def test_a_blip_is_got_over_within_the_call(http: Http, server: Server, blip: Response) -> None:
    """Two blips in a row cost two more requests and nothing else; a third one ends the call."""
    server.script = [blip, blip]
    assert get(http, server).value == {"fine": True}
    server.script = [blip, blip, blip]
    with pytest.raises(MailboxUnavailable):
        get(http, server)
    assert len(server.requests) == 6


@pytest.mark.parametrize("blip", [RESET, Response(status=503)], ids=["reset", "503"])
def test_what_tells_something_is_sent_once(http: Http, server: Server, blip: Response) -> None:
    """A POST is not repeated within the call: whether it took effect is for its caller to find out."""
    server.script = [blip]
    with pytest.raises(MailboxUnavailable):
        http.post(f"{server.url}/x", {})
    assert len(server.requests) == 1


NONSENSE = {
    "500": (Response(status=500), "answered 500"),
    "429": (Response(status=429), "answered 429"),
    "a page": (Response(status=200, body=b"<html>Maintenance</html>", headers=(("Content-Type", "text/html"),)), "no sense .text/html."),
    "a list": (Response(status=200, body=b"[]", headers=JSON), "no sense"),
    "deep": (Response(status=200, body=b"[" * 100_000, headers=JSON), "no sense"),
    "a login page": (Response(status=302, headers=(("Location", "https://login.example/"),)), "redirect"),
    "compressed": (Response(status=200, body=b"\x1f\x8b", headers=(*JSON, ("Content-Encoding", "gzip"))), "compressed"),
    "too much": (stream(17_000_000), "larger than 16 MiB"),
}


@pytest.mark.parametrize(("answer", "words"), NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense_is_no_answer(http: Http, server: Server, answer: Response, words: str) -> None:
    """What cannot come from the application is told in words, once, and nothing follows it or unpacks it."""
    server.script = [answer]
    with pytest.raises(MailboxUnavailable, match=words):
        get(http, server)
    assert len(server.requests) == 1


def test_a_bomb_takes_no_memory(http: Http, server: Server) -> None:
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
def test_a_long_wait_that_is_asked_for_ends_the_call(http: Http, server: Server, status: int, wait: Callable[[], str]) -> None:
    """A long Retry-After is handed on instead of being waited for, and nothing is asked again."""
    server.script = [Response(status=status, headers=(("Retry-After", wait()),))]
    with pytest.raises(MailboxUnavailable) as caught:
        get(http, server)
    assert caught.value.retry_after
    assert timedelta(seconds=110) < caught.value.retry_after <= timedelta(seconds=120)
    assert len(server.requests) == 1


def test_a_drip_ends_with_the_deadline(server: Server) -> None:
    """A server that sends a byte now and then, and so never runs into a timeout, holds a call no longer than the whole may take."""
    http = Http(longest_pause=300, patience=Patience(step=5, whole=0.3, pauses=()))
    server.then = Response(status=200, body=bytes(10_000), manner=Manner(seconds_per_byte=0.02))
    with closing(http), pytest.raises(MailboxUnavailable, match=r"answer in 0\.3 seconds|no answer in time"):
        get(http, server)


def test_a_head_that_drips_ends_with_the_deadline() -> None:
    """The deadline holds from the first byte on, not only once there is a body."""
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        pool.submit(_drip_a_head, listener, stopping)
        http = Http(longest_pause=300, patience=Patience(step=5, whole=0.3, pauses=()))
        with closing(http), pytest.raises(MailboxUnavailable, match=r"answer in 0\.3 seconds|no answer in time"):
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
    http = Http(longest_pause=300, patience=Patience(step=0.2, pauses=()))
    server.then = Response(status=200, body=bytes(10), manner=Manner(seconds_per_byte=5))
    with closing(http), pytest.raises(MailboxUnavailable, match="no answer in time"):
        get(http, server)


def test_a_refused_connection_says_so(http: Http, server: Server) -> None:
    """A host that is not there is named, with the reason."""
    server.stop()
    with pytest.raises(MailboxUnavailable, match=r"127\.0\.0\.1:[0-9]+ .*connection refused"):
        get(http, server)


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_a_download_is_streamed_in_pieces(http: Http, server: Server, chunked: bool) -> None:
    """The pieces are neither tiny nor whole; together they are all that was sent."""
    server.then = stream(1_000_000, chunked=chunked)
    with closing(download(http, server)) as reply:
        sizes = [len(chunk) for chunk in reply.chunks]
    assert reply.whole
    assert sum(sizes) == 1_000_000
    assert all(65_536 <= size <= 262_144 for size in sizes[:-1])


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_a_download_that_is_cut_short_is_no_download(http: Http, server: Server, chunked: bool) -> None:
    """A body that ends too early raises at its end, with and without a length in the head."""
    server.then = stream(1_000_000, chunked=chunked, manner=Manner(cut_after=500_000))
    with closing(download(http, server)) as reply, pytest.raises(MailboxUnavailable, match="tried again"):
        list(reply.chunks)


def test_a_download_that_drips_is_given_up(http: Http, server: Server) -> None:
    """A download has no deadline, but a lowest rate."""
    server.then = stream(1_000_000, manner=Manner(seconds_per_byte=0.02))
    with closing(download(http, server)) as reply, pytest.raises(MailboxUnavailable, match="less than 1024 bytes a second"):
        list(reply.chunks)


def test_a_slow_reader_is_not_held_against_the_server(http: Http, server: Server) -> None:
    """The time that the receiver takes for what it got, here more than a window, does not count as waiting."""
    server.then = stream(1_000_000)
    with closing(download(http, server)) as reply:
        first = next(reply.chunks)
        time.sleep(QUICK.window * 1.5)
        assert len(first) + sum(len(chunk) for chunk in reply.chunks) == 1_000_000


def test_a_download_that_is_refused_is_an_answer(http: Http, server: Server) -> None:
    """What comes instead of a stream can be read, and a blip before the stream is got over."""
    server.script = [RESET, Response(status=400, body=b'{"errorCode": 2019}', headers=JSON)]
    reply = http.download(f"{server.url}/x", {})
    assert isinstance(reply, Answer)
    assert json_object(reply.body) == {"errorCode": 2019}


def test_a_compressed_download_is_refused(http: Http, server: Server) -> None:
    """An attachment is taken as it is or not at all."""
    bomb = gzip_bomb(1)
    assert bomb.instead
    server.then = bomb.instead()
    with pytest.raises(MailboxUnavailable, match="compressed"):
        http.download(f"{server.url}/x", {})


def test_certificates_are_verified(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    """A certificate of an unknown authority ends the call with a hint at `ca_file`; with that it is trusted."""
    with Server(server_tls) as server:
        with closing(Http(longest_pause=300, patience=QUICK)) as http, pytest.raises(MailboxUnavailable, match="ca_file"):
            get(http, server)
        with closing(Http(longest_pause=300, patience=QUICK, ca_file=ca_file)) as http:
            assert get(http, server).status == 200


def break_circuit(http: Http, server: Server) -> None:
    server.then = Response(status=500)
    for _ in range(5):
        with pytest.raises(MailboxUnavailable, match="answered 500"):
            get(http, server)


def test_a_host_that_fails_in_a_row_is_left_alone(http: Http, server: Server) -> None:
    """After five failures no request leaves, the error says why and for how long, and another host is not concerned."""
    break_circuit(http, server)
    with pytest.raises(MailboxUnavailable, match=r"failed repeatedly.*answered 500.*again in [0-9]+ s") as caught:
        get(http, server)
    assert caught.value.retry_after
    assert len(server.requests) == 5
    with Server() as other:
        assert get(http, other).status == 200


def test_a_success_in_between_starts_the_count_anew(http: Http, server: Server) -> None:
    """Single failures, however many, do not add up."""
    for _ in range(20):
        server.script = [Response(status=500)]
        with pytest.raises(MailboxUnavailable, match="answered 500"):
            get(http, server)
        assert get(http, server).status == 200


def test_a_host_that_is_back_is_used_at_once(http: Http, server: Server, clock: Clock) -> None:
    """When the pause is over, the first call that succeeds opens the way for all."""
    break_circuit(http, server)
    server.then = FINE
    clock.now += 31
    assert [get(http, server).status for _ in range(3)] == [200, 200, 200]


def test_only_one_call_tries_whether_a_host_is_back(http: Http, server: Server, clock: Clock) -> None:
    """Threads that come while the first call tries wait for what comes of it, and do not add to the load of a host that is down."""
    break_circuit(http, server)
    clock.now += 31
    server.requests.clear()

    def attempt(_: int) -> str:
        try:
            return str(get(http, server).status)
        except MailboxUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert len(server.requests) == 1
    assert not any(each == "200" for each in outcomes)


def test_an_hour_of_outage_costs_few_calls(http: Http, server: Server, clock: Clock) -> None:
    """Eight threads with forty channels, a poll every five minutes: fewer than forty requests in an hour, and back at the next poll."""
    server.then = Response(status=503)

    def attempt(_: int) -> bool:
        with suppress(MailboxUnavailable):
            return get(http, server).status == 200
        return False

    with ThreadPoolExecutor(8) as pool:
        for _ in range(12):
            assert not any(pool.map(attempt, range(40)))
            clock.now += 300
        assert len(server.requests) < 40
        server.then = FINE
        assert all(pool.map(attempt, range(40)))


def test_the_pause_is_never_longer_than_a_poll(server: Server) -> None:
    """However long an outage lasts, the next poll after its end finds the host."""
    clock = Clock()
    with closing(Http(longest_pause=60, patience=QUICK, clock=clock)) as http:
        break_circuit(http, server)
        for _ in range(10):
            clock.now += 60
            with pytest.raises(MailboxUnavailable, match="answered 500"):
                get(http, server)
        server.then = FINE
        clock.now += 60
        assert get(http, server).status == 200


def test_connections_are_kept(http: Http, server: Server) -> None:
    """Calls one after the other go over one connection, and after `close` a new one is opened."""
    for _ in range(20):
        get(http, server)
    assert server._server
    assert len(server._server._connections) == 1
    http.close()
    assert get(http, server).status == 200


@contextmanager
def raw_server(*answers: bytes) -> Iterator[str]:
    """Sends the next of `answers` on each connection, whatever is asked, and leaves it open; yields the address."""
    with ExitStack() as connections, socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(10)
        pool.submit(_send_to_each, listener, answers, connections)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"


def _send_to_each(listener: socket.socket, answers: tuple[bytes, ...], connections: ExitStack) -> None:
    for answer in answers:
        connection = connections.enter_context(listener.accept()[0])
        connection.recv(65536)
        connection.sendall(answer)


def raw_answer(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"Content-Length: %d" % len(body), b"", body])


def test_a_connection_that_was_closed_while_nobody_used_it_is_not_used(http: Http, server: Server) -> None:
    """A POST, which is sent only once, does not go into a connection that the other side has left in the meantime."""
    get(http, server)
    server.stop()
    server.start()
    assert http.post(f"{server.url}/x", {}).status == 200


def test_what_nobody_asked_for_is_no_answer_to_the_next_call(http: Http) -> None:
    """Where bytes follow the answer, they are not taken for the next one: that comes over another connection."""
    with raw_server(raw_answer(b'{"at": 1}') + raw_answer(b'{"at": 2}'), raw_answer(b'{"at": 3}')) as url:
        assert [http.get(url, {}, json_object).value for _ in range(2)] == [{"at": 1}, {"at": 3}]


def test_what_only_announces_an_answer_is_passed_over(http: Http) -> None:
    """Heads of the kind 1xx may come before the answer."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with raw_server(b"HTTP/1.1 100 Continue\r\n\r\n" + early + raw_answer(b"{}")) as url:
        assert http.get(url, {}, json_object).value == {}


IN_DOUBT = {
    "two lengths": raw_answer(b"{}", b"Content-Length: 1"),
    "no length": raw_answer(b"{}", b"Content-Length: -1"),
    "another encoding": raw_answer(b"{}", b"Transfer-Encoding: gzip, chunked"),
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no head": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no line of a head": raw_answer(b"{}", b"nonsense"),
    "an endless head": raw_answer(b"{}", *[b"X: " + bytes([97]) * 1000] * 200),
}


@pytest.mark.parametrize("answer", IN_DOUBT.values(), ids=list(IN_DOUBT))
def test_an_answer_whose_end_is_in_doubt_is_none(http: Http, answer: bytes) -> None:
    """What is not HTTP to the letter is not guessed at."""
    with raw_server(answer) as url, pytest.raises(MailboxUnavailable, match="the connection broke off"):
        http.post(url, {})


def test_many_threads_share_the_connections(http: Http, server: Server) -> None:
    """Calls of many threads do not get in each other's way."""
    with ThreadPoolExecutor(16) as pool:
        assert all(answer.status == 200 for answer in pool.map(lambda _: get(http, server), range(200)))
