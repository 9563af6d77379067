"""The server under the sandbox: sound by default, and unsound on the wire exactly as it is told."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
import trustme

from connectors.sandbox.http_server import LoopbackServer, Manner, Request, Response, Stream


def echo(request: Request) -> Response:
    return Response(
        status=200,
        body=f"{request.method} {request.path} {request.query} {request.body.decode()}".encode(),
    )


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


def answering(response: Response) -> LoopbackServer:
    return LoopbackServer(lambda _: response)


def test_requests_arrive_whole_on_one_connection(client: httpx.Client) -> None:
    """Method, path, query and body arrive as sent, and the connection is kept for the next
    request."""
    ports: set[int] = set()

    def answer(request: Request) -> Response:
        return echo(request)

    with LoopbackServer(answer) as server:
        for number in range(3):
            with client.stream("POST", f"{server.url}/a/b?c={number}", content=b"xyz") as response:
                ports.add(response.extensions["network_stream"].get_extra_info("client_addr")[1])
                assert response.read() == f"POST /a/b c={number} xyz".encode()
    assert len(ports) == 1


def test_a_repeated_header_is_one_header(client: httpx.Client) -> None:
    """Names of headers are in lower case, and two of one name are joined."""
    with LoopbackServer(
        lambda request: Response(status=200, body=request.headers["accept"].encode())
    ) as server:
        headers = [("Accept", "a/b"), ("ACCEPT", "c/d")]
        assert client.get(server.url, headers=headers).text == "a/b, c/d"


def test_a_body_of_unknown_length_is_refused(client: httpx.Client) -> None:
    """A chunked request gets 411."""
    with LoopbackServer(echo) as server:
        assert client.post(server.url, content=iter([b"x"])).status_code == 411


@pytest.mark.parametrize("chunked", [True, False])
def test_streams_arrive_whole(client: httpx.Client, *, chunked: bool) -> None:
    """A stream is sent chunked or with its length, empty pieces included."""
    body = Stream(chunks=[b"abc", b"", b"def"], length=6, chunked=chunked)
    with answering(Response(status=200, body=body)) as server:
        response = client.get(server.url)
    assert response.content == b"abcdef"
    assert response.headers.get("content-length") == (None if chunked else "6")


def test_a_reset_is_a_reset() -> None:
    """The connection ends with a TCP reset, not with an orderly end."""
    with (
        answering(Response(status=200, manner=Manner(reset=True))) as server,
        closing(_connected(server)) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_cut_body_is_half_a_body(client: httpx.Client, *, chunked: bool) -> None:
    """So many bytes come and then the connection ends, which a client that looks can tell from a
    whole body."""
    body = Stream(chunks=[b"abc", b"def"], length=6, chunked=chunked)
    got = io.BytesIO()
    with (
        answering(Response(status=200, body=body, manner=Manner(cut_after=4))) as server,
        client.stream("GET", server.url) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        got.writelines(response.iter_raw())
    assert got.getvalue() == b"abcd"


def test_a_drip_comes_byte_by_byte_and_ends_with_the_server() -> None:
    """The head comes at once and a body a byte at a time; stopping the server does not wait for the
    rest."""
    slow = Response(status=200, body=b"abc", manner=Manner(seconds_per_byte=0.01))
    endless = Response(status=200, body=b"abc", manner=Manner(seconds_per_byte=3600))
    with answering(slow) as server:
        assert httpx.get(server.url).content == b"abc"
    with answering(endless) as server:
        connection = _connected(server)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
    with closing(connection):
        connection.settimeout(5)
        while connection.recv(4096):
            pass


def test_a_server_that_is_down_refuses_and_comes_back_on_its_port(client: httpx.Client) -> None:
    """Stopped, it refuses connections and ends the open ones; started again, it has the same
    port."""
    with LoopbackServer(echo) as server:
        url = server.url
        assert client.get(url).status_code == 200
        server.stop()
        with pytest.raises(httpx.ConnectError):
            client.get(url)
        server.start()
        assert server.url == url
        assert client.get(url).status_code == 200


def test_nobody_else_gets_the_port_of_a_server_that_is_down() -> None:
    """While a server is down, its port is not given to anyone."""
    with LoopbackServer(echo) as server:
        server.stop()
        with (
            closing(socket.socket()) as other,
            pytest.raises(OSError, match="Address already in use"),
        ):
            other.bind(("127.0.0.1", server.port))


def test_a_port_that_is_taken_is_refused() -> None:
    """Two servers cannot have one port, and the second is told so at once."""
    with LoopbackServer(echo) as server, pytest.raises(OSError, match="Address already in use"):
        LoopbackServer(echo, port=server.port)


def test_a_fault_of_the_sandbox_shows(
    client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception is answered with 500, and its traceback is on stderr."""

    def answer(_: Request) -> Response:
        raise LookupError("a fault of the sandbox")

    with LoopbackServer(answer) as server:
        assert client.get(server.url).status_code == 500
    assert "a fault of the sandbox" in capsys.readouterr().err


def test_it_speaks_tls() -> None:
    """With a certificate, it is an https server that a client can verify, and it outlives a client
    that does not trust it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with LoopbackServer(echo, tls=context) as server:
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url)
        assert httpx.get(f"{server.url}/x", verify=trusting).text == "GET /x  "


def _connected(server: LoopbackServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)
