"""What every destination that posts over HTTP promises of the other side, whichever of them it
is."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.soap import connect
from connectors.destinations.webhook import Settings, Webhook
from connectors.sandbox.sinks.soap import response
from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from daemon.core.parcels import Receipt
from daemon.core.ports import Destination
from daemon.core.settings import Secret
from tests.conftest import MakeParcel
from tests.connectors.soap_tools import settings

TAKEN = response().body
SECRET = Secret(Path("webhook.secret"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
PLENTY = 50_000_000
"""Bytes that fit between two sockets and are far from being read."""

Post = Callable[..., Destination]


def _webhook(port: int, timeout: str = "20s") -> Destination:
    url = f"http://127.0.0.1:{port}/hook?token=capability"
    return Webhook("erp", Settings(url=url, secret_file=SECRET, timeout=timeout))


def _soap(port: int, timeout: str = "20s") -> Destination:
    return connect(
        "arkiv", settings(f"http://127.0.0.1:{port}/a?token=capability", timeout=timeout)
    )


@pytest.fixture(params=[_webhook, _soap], ids=["webhook", "soap"])
def post(request: pytest.FixtureRequest) -> Post:
    """A destination that posts to a port of this machine."""
    return request.param  # type: ignore[no-any-return]  # one of the two above


def failure(destination: Destination, make_parcel: MakeParcel) -> DeliveryFailure:
    """How a delivery fails; its words hold nothing of what was sent or received, and a remedy."""
    with pytest.raises(DeliveryFailure) as caught:
        destination.deliver(make_parcel(title="hemmelig"))
    text = str(caught.value)
    assert not [word for word in ("hemmelig", "capability", "whsec", "Traceback") if word in text]
    assert "; " in text
    assert not text.endswith(";")
    return caught.value


def answer(*lines: str, body: bytes = b"", size: int | None = None) -> bytes:
    """An answer whose body is said to have `size` bytes."""
    length = f"content-length: {len(body) if size is None else size}"
    head = "\r\n".join(
        [f"HTTP/1.1 {lines[0]}", *lines[1:], "content-type: text/xml", length, "", ""]
    )
    return head.encode() + body


def sends(data: bytes) -> Callable[[Any, threading.Event], None]:
    return lambda connection, _: connection.sendall(data)


def drips(beginning: bytes, drop: bytes) -> Callable[[Any, threading.Event], None]:
    """An answer that goes on for ever, a drop at a time."""

    def run(connection: Any, ended: threading.Event) -> None:
        connection.sendall(beginning)
        while not ended.wait(0.05):
            connection.sendall(drop)

    return run


def test_what_is_taken_is_delivered(servers: Any, make_parcel: MakeParcel, post: Post) -> None:
    """A plain answer is a delivery, and each call has a connection of its own."""
    server = servers.web(sends(answer("200 OK", body=TAKEN)))
    destination = post(server.port)
    for _ in range(2):
        assert isinstance(destination.deliver(make_parcel()), Receipt)
    assert len(server.requests) == 2
    assert server.requests[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "beginning",
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early"],
    ids=["headers", "interim"],
)
def test_a_drip_ends_with_the_time_for_the_whole(
    servers: Any, make_parcel: MakeParcel, post: Post, beginning: bytes
) -> None:
    """A server that always says a little more is given up when the time for the call is over."""
    server = servers.web(drips(beginning, b"x: y\r\n"))
    began = time.monotonic()
    failed = failure(post(server.port, "1s"), make_parcel)
    assert time.monotonic() - began < 10
    assert isinstance(failed, TemporaryFailure)
    assert "no complete answer within 1 second" in str(failed)


def test_an_endless_body_is_not_read(servers: Any, make_parcel: MakeParcel, post: Post) -> None:
    """Of a body without end a bounded part is read: for SOAP it is a failure, a webhook's status
    decides."""
    sent: list[int] = []

    def endless(connection: Any, ended: threading.Event) -> None:
        connection.sendall(answer("200 OK", size=10**12))
        with suppress(OSError):
            while not ended.is_set():
                sent.append(connection.send(b"x" * 65536))

    destination = post(servers.web(endless).port)
    if isinstance(destination, Webhook):
        destination.deliver(make_parcel())
    else:
        failed = failure(destination, make_parcel)
        assert isinstance(failed, TemporaryFailure)
        assert "larger than" in str(failed)
    assert sum(sent) < PLENTY


def test_a_redirect_is_not_followed(servers: Any, make_parcel: MakeParcel, post: Post) -> None:
    """A letter goes to no address that a server names."""
    elsewhere = servers.web(sends(answer("200 OK", body=TAKEN)))
    location = f"location: http://127.0.0.1:{elsewhere.port}/"
    for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"):
        server = servers.web(sends(answer(status, location)))
        assert "a redirect, which is not followed" in str(failure(post(server.port), make_parcel))
    assert elsewhere.requests == []


def test_nothing_is_decompressed(servers: Any, make_parcel: MakeParcel, post: Post) -> None:
    """A body that would inflate is not inflated: SOAP refuses it, a webhook does not look at it."""
    bomb = zlib.compress(bytes(50 << 20))
    server = servers.web(sends(answer("200 OK", "content-encoding: deflate", body=bomb)))
    destination = post(server.port)
    if isinstance(destination, Webhook):
        destination.deliver(make_parcel())
    else:
        assert "compressed" in str(failure(destination, make_parcel))


def test_a_body_that_is_cut(servers: Any, make_parcel: MakeParcel, post: Post) -> None:
    """A cut answer is none to SOAP, whose letter waits; a webhook's status has decided."""
    destination = post(servers.web(sends(answer("200 OK", body=TAKEN, size=10_000))).port)
    if isinstance(destination, Webhook):
        destination.deliver(make_parcel())
    else:
        failed = failure(destination, make_parcel)
        assert isinstance(failed, TemporaryFailure)
        assert "no complete answer" in str(failed)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("400 Bad Request", PermanentFailure, "does not take this letter"),
        ("401 Unauthorized", TemporaryFailure, "check"),
        ("403 Forbidden", TemporaryFailure, "access rules"),
        ("404 Not Found", TemporaryFailure, "answer there"),
        ("405 Method Not Allowed", TemporaryFailure, "does not accept POST"),
        ("407 Proxy", TemporaryFailure, "check the proxy"),
        ("408 Request Timeout", TemporaryFailure, "tried again later"),
        ("409 Conflict", PermanentFailure, "does not take this letter"),
        ("410 Gone", PermanentFailure, "accepts no more letters"),
        ("413 Too Large", PermanentFailure, "too large for it"),
        ("415 Media Type", TemporaryFailure, "application/cloudevents|attachments = "),
        ("422 Unprocessable", PermanentFailure, "does not take this letter"),
        ("425 Too Early", TemporaryFailure, "tried again later"),
        ("429 Too Many", TemporaryFailure, "tried again later"),
        ("500 Oops", TemporaryFailure, "tried again later"),
        ("503 Unavailable", TemporaryFailure, "tried again later"),
        ("599 Odd", TemporaryFailure, "tried again later"),
    ],
)
def test_a_status_means_the_same_to_all(
    servers: Any,
    make_parcel: MakeParcel,
    post: Post,
    status: str,
    kind: type[DeliveryFailure],
    words: str,
) -> None:
    """One table judges statuses: what can be put right waits, what cannot is given up."""
    date = "date: Tue, 05 Jan 2038 09:00:00 GMT"
    until = "retry-after: Tue, 05 Jan 2038 09:02:00 GMT"
    server = servers.web(sends(answer(status, date, until)))
    destination = post(server.port)
    with pytest.raises(kind, match=words):
        destination.deliver(make_parcel())
    failed = failure(destination, make_parcel)
    assert f"status {status[:3]}" in str(failed)
    if isinstance(failed, TemporaryFailure):
        assert failed.retry_after == timedelta(minutes=2)
    assert len(server.requests) == 2


def test_the_environment_decides_nothing(
    servers: Any,
    make_parcel: MakeParcel,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A proxy or a .netrc of the service's environment has no say."""
    server = servers.web(sends(answer("200 OK", body=TAKEN)))
    proxy = servers.web(sends(answer("200 OK", body=TAKEN)))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    post(server.port).deliver(make_parcel())
    assert (len(server.requests), proxy.requests) == (1, [])
    assert "authorization" not in server.requests[0][1]
