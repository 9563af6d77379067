"""Connections: kept for the next call, and never one that somebody has spoilt or left."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from connectors.net.http_client import HttpClient
from connectors.net.http_response import json_object
from connectors.sandbox.http_server import Manner, Response
from daemon.core.errors import MailboxUnavailable

# fixtures
from tests.connectors.http_tools import Server, get, new_clock, new_http, new_server  # noqa: F401


def test_connections_are_kept(http: HttpClient, server: Server) -> None:
    """Calls one after the other go over one connection, and after `close` a new one is opened."""
    for _ in range(20):
        get(http, server)
    assert server._server
    assert len(server._server._connections) == 1
    http.close()
    assert get(http, server).status == 200


@contextmanager
def raw_server(*answers: bytes, leaves: bool = False) -> Iterator[str]:
    """Sends the next of `answers` on each connection, whatever is asked, and keeps it open or
    `leaves`; yields the address."""
    with (
        ExitStack() as connections,
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        listener.settimeout(10)
        pool.submit(_send_to_each, listener, answers, connections, leaves)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"


def _send_to_each(
    listener: socket.socket, answers: tuple[bytes, ...], connections: ExitStack, leaves: bool
) -> None:
    for answer in answers:
        connection = connections.enter_context(listener.accept()[0])
        connection.recv(65536)
        with suppress(OSError):  # a client that has seen enough leaves
            connection.sendall(answer)
        if leaves:
            connection.close()


def raw_answer(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join(
        [b"HTTP/1.1 200 OK", *headers, b"Content-Length: %d" % len(body), b"", body]
    )


def test_a_connection_that_was_closed_while_nobody_used_it_is_not_used(
    http: HttpClient, server: Server
) -> None:
    """A POST, which is sent only once, does not go into a connection that the other side has left
    in the meantime."""
    get(http, server)
    server.stop()
    server.start()
    assert http.post(f"{server.url}/x", {}).status == 200


def test_a_request_on_a_kept_connection_is_sent_once(http: HttpClient, server: Server) -> None:
    """A POST whose connection breaks before the answer may have taken effect; libcurl would send it
    again by itself where the connection had been used before."""
    for manner in (Manner(reset=True), Manner(cut_after=0)):
        get(http, server)
        server.requests.clear()
        server.script = [Response(status=200, body=b"{}", manner=manner)]
        with pytest.raises(MailboxUnavailable):
            http.post(f"{server.url}/x", {})
        assert len(server.requests) == 1


def test_what_nobody_asked_for_is_no_answer_to_the_next_call(http: HttpClient) -> None:
    """Where bytes follow the answer, they are not taken for the next one: that comes over another
    connection."""
    with raw_server(
        raw_answer(b'{"at": 1}') + raw_answer(b'{"at": 2}'), raw_answer(b'{"at": 3}')
    ) as url:
        assert [http.get(url, {}, json_object).value for _ in range(2)] == [{"at": 1}, {"at": 3}]


def test_what_only_announces_an_answer_is_passed_over(http: HttpClient) -> None:
    """Heads of the kind 1xx may come before the answer."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with raw_server(b"HTTP/1.1 100 Continue\r\n\r\n" + early + raw_answer(b"{}")) as url:
        assert http.get(url, {}, json_object).value == {}


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


WHOLE = {
    "chunks": chunked(b"{", b'"fine": true', b"}"),
    "a trailer": chunked(b'{"fine": true}', end=b"0\r\nContent-Encoding: gzip\r\n\r\n"),
    "a chunk's extension": chunked().replace(
        b"0\r\n\r\n", b"e;x=y\r\n" + b'{"fine": true}' + b"\r\n0\r\n\r\n"
    ),
    "many small chunks": chunked(*[bytes([each]) for each in b" " * 60_000 + b'{"fine": true}']),
    "upper case": raw_answer(b'{"fine": true}', b"CONTENT-TYPE: application/json"),
    "more behind it": raw_answer(b'{"fine": true}') + b"nonsense",
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=list(WHOLE))
def test_an_answer_may_come_in_many_ways(http: HttpClient, answer: bytes) -> None:
    """Whatever HTTP allows between the head and the end of an answer, it is understood."""
    with raw_server(answer) as url:
        assert http.get(url, {}, json_object).value == {"fine": True}


def test_a_body_may_end_with_the_connection(http: HttpClient) -> None:
    """An answer without a length, as of HTTP/1.0, ends where the other side ends the connection,
    and that is not used again."""
    head = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
    with raw_server(head + b'{"at": 1}', head + b'{"at": 2}', leaves=True) as url:
        assert [http.get(url, {}, json_object).value for _ in range(2)] == [{"at": 1}, {"at": 2}]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent", raw_answer(b"{}")[:-1], chunked(b"{}", end=b"")]
)
def test_a_connection_that_ends_too_early_brings_no_answer(http: HttpClient, answer: bytes) -> None:
    """An answer that is cut off in its head or its body is none."""
    with (
        raw_server(answer, leaves=True) as url,
        pytest.raises(MailboxUnavailable, match="the connection broke off"),
    ):
        http.post(url, {})


@pytest.mark.parametrize("spoilt", ["a\r\nX: y", "a\nX: y", "a\0", "blåbær", "\ud800"])
def test_nothing_is_sent_that_ends_a_line_too_early(http: HttpClient, spoilt: str) -> None:
    """A header, or an address, that would say something else to the other side than to us is not
    sent."""
    for url, headers in (("/x", {"Authorization": f"Bearer {spoilt}"}), (f"/{spoilt} x", {})):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(MailboxUnavailable, match="the connection broke off"):
                http.post(address + url, headers)
            listener.settimeout(0.1)
            with pytest.raises(TimeoutError):
                listener.accept()


IN_DOUBT = {
    "two lengths": raw_answer(b"{}", b"Content-Length: 1"),
    "no length": raw_answer(b"{}", b"Content-Length: -1"),
    "too great a length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    "a length and chunks": raw_answer(b"{}", b"Transfer-Encoding: chunked"),
    "another encoding": raw_answer(b"{}", b"Transfer-Encoding: gzip, chunked"),
    "another encoding alone": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    "no length of a chunk": chunked(end=b"x\r\n"),
    "a chunk of the wrong length": chunked(end=b"1\r\n{}\r\n0\r\n\r\n"),
    "an empty line before": b"\r\n" + raw_answer(b"{}"),
    "endless trailers": chunked(end=b"0\r\n" + b"X: y\r\n" * 30_000),
    "a bare line feed": raw_answer(b"{}").replace(b"\r\n", b"\n"),
    "a space before the colon": raw_answer(b"{}", b"X : y"),
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "another protocol at once": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nx"
    ),
    "no head": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no line of a head": raw_answer(b"{}", b"nonsense"),
    "an endless head": raw_answer(b"{}", *[b"X: " + bytes([97]) * 1000] * 200),
}


@pytest.mark.parametrize("answer", IN_DOUBT.values(), ids=list(IN_DOUBT))
def test_an_answer_whose_end_is_in_doubt_is_none(http: HttpClient, answer: bytes) -> None:
    """What is not HTTP to the letter is not guessed at."""
    with (
        raw_server(answer) as url,
        pytest.raises(MailboxUnavailable, match="the connection broke off"),
    ):
        http.post(url, {})


def test_an_endless_extension_of_a_chunk_ends_in_time(http: HttpClient) -> None:
    """What belongs to no body takes no memory, and counts as silence, however much of it comes."""
    with (
        raw_server(chunked(end=b"1;" + b"x" * 200_000)) as url,
        pytest.raises(MailboxUnavailable, match="no answer in time"),
    ):
        http.post(url, {})


def test_what_is_said_later_is_no_answer_to_the_next_call(http: HttpClient) -> None:
    """Bytes that come after an answer was read, and before the next request, spoil a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        first = pool.submit(http.get, url, {}, json_object)
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(raw_answer(b'{"at": 1}'))
            assert first.result().value == {"at": 1}
            connection.sendall(raw_answer(b'{"at": 2}'))
            second = pool.submit(http.post, url, {}, parse=json_object)
            with listener.accept()[0] as another:
                another.recv(65536)
                another.sendall(raw_answer(b'{"at": 3}'))
                assert second.result().value == {"at": 3}


def test_many_threads_share_the_connections(http: HttpClient, server: Server) -> None:
    """Calls of many threads do not get in each other's way."""
    with ThreadPoolExecutor(16) as pool:
        assert all(
            answer.status == 200 for answer in pool.map(lambda _: get(http, server), range(200))
        )
