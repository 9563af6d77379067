"""What a webhook's receiver answers: statuses are read rightly, and no receiver holds a worker."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from tests.conftest import MakeParcel
from tests.connectors.webhook_tools import webhook_to


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("301 Moved Permanently", PermanentFailure),
        ("307 Temporary Redirect", PermanentFailure),
        ("400 Bad Request", PermanentFailure),
        ("401 Unauthorized", TemporaryFailure),
        ("403 Forbidden", TemporaryFailure),
        ("404 Not Found", TemporaryFailure),
        ("405 Method Not Allowed", TemporaryFailure),
        ("408 Request Timeout", TemporaryFailure),
        ("410 Gone", PermanentFailure),
        ("413 Too Large", PermanentFailure),
        ("422 Unprocessable", PermanentFailure),
        ("425 Too Early", TemporaryFailure),
        ("429 Too Many", TemporaryFailure),
        ("500 Oops", TemporaryFailure),
        ("503 Unavailable", TemporaryFailure),
    ],
)
def test_what_a_status_means(
    servers: Any, make_parcel: MakeParcel, line: str, kind: type[DeliveryFailure]
) -> None:
    """What the receiver or the operator can fix waits, the rest is given up; a redirect is not
    followed; no secret is shown."""
    server = servers.web_status(line, "location: /elsewhere")
    with pytest.raises(kind, match=f"status {line[:3]}") as caught:
        webhook_to(server).deliver(make_parcel(title="hemmelig tittel"))
    assert len(server.requests) == 1
    assert not any(word in str(caught.value) for word in ("hemmelig", "capability", "whsec"))


@pytest.mark.parametrize("line", ["429 Too Many", "503 Unavailable"])
def test_the_receiver_may_ask_for_time(servers: Any, make_parcel: MakeParcel, line: str) -> None:
    """The wait that a busy receiver asks for is handed on."""
    server = servers.web_status(line, "retry-after: 120")
    with pytest.raises(TemporaryFailure) as caught:
        webhook_to(server).deliver(make_parcel())
    assert caught.value.retry_after == timedelta(seconds=120)


def test_a_date_is_meant_by_the_receivers_clock(servers: Any, make_parcel: MakeParcel) -> None:
    """A receiver that asks for time until a date means its own clock, whatever that of this machine
    says."""
    theirs = "date: Tue, 05 Jan 2038 09:00:00 GMT\r\nretry-after: Tue, 05 Jan 2038 09:02:00 GMT"
    server = servers.web_status("503 Unavailable", theirs)
    with pytest.raises(TemporaryFailure) as caught:
        webhook_to(server).deliver(make_parcel())
    assert caught.value.retry_after == timedelta(seconds=120)


def drip(beginning: bytes, drop: bytes) -> Callable[[Any, threading.Event], None]:
    """An answer that begins like this and then goes on for ever, a drop at a time."""

    def answer(connection: Any, ended: threading.Event) -> None:
        connection.sendall(beginning)
        while not ended.wait(0.05):
            connection.sendall(drop)

    return answer


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "beginning", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 Early"]
)
def test_a_dripping_answer_does_not_hold_a_worker(
    servers: Any,
    make_parcel: MakeParcel,
    server_tls: ssl.SSLContext,
    ca_file: Path,
    beginning: bytes,
    tls: bool,
) -> None:
    """A receiver whose headers never end is given up when the time for the whole call is over, not
    when it falls silent."""
    server = servers.web(drip(beginning, b"x: y\r\n"), tls=server_tls if tls else None)
    with pytest.raises(TemporaryFailure, match="no complete answer within 1 second"):
        webhook_to(server, "https" if tls else "http", ca_file=ca_file, timeout="1s").deliver(
            make_parcel()
        )


def test_a_dripping_body_does_not_undo_a_delivery(servers: Any, make_parcel: MakeParcel) -> None:
    """The status decides; a body that never ends is left when the time is over."""
    server = servers.web(drip(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x"))
    assert webhook_to(server, timeout="1s").deliver(make_parcel()).details["status"] == 200


def test_an_endless_body_is_not_read(servers: Any, make_parcel: MakeParcel) -> None:
    """Of what a receiver answers at most 64 KiB are read, also if they would inflate to more."""
    sent = []

    def answer(connection: Any, ended: threading.Event) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1000000000\r\n\r\n"
        )
        with suppress(OSError):
            while not ended.is_set():
                sent.append(connection.send(b"x" * 65536))

    server = servers.web(answer)
    assert webhook_to(server).deliver(make_parcel()).reference == "HTTP 200"
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200"])
def test_no_answer_is_no_delivery(servers: Any, make_parcel: MakeParcel, answer: bytes) -> None:
    """A connection that ends early, and one to something else, is a failure for now, and says
    nothing of what was said."""
    server = servers.web(lambda connection, _: connection.sendall(answer))
    with pytest.raises(TemporaryFailure, match="no complete answer") as caught:
        webhook_to(server).deliver(make_parcel())
    assert "OpenSSH" not in str(caught.value)
