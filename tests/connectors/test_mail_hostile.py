"""Mail servers that never come to an end hold no thread and no memory."""

from __future__ import annotations

import socketserver
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest

from connectors.mail import conversation, smtp_server
from daemon.core.errors import TemporaryFailure
from tests.connectors.conftest import Server
from tests.connectors.mail_tools import MakeParcel, mail_to

USUAL = {"EHLO": b"250 ok\r\n", "DATA": b"354 go on\r\n", "GREET": b"220 scripted\r\n"}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail may take twice as long as a step, so that nobody waits for these tests."""
    for module in (conversation, smtp_server):
        monkeypatch.setattr(module, "STEPS", 2)


def hostile(command: str, pieces: Callable[[], Iterator[bytes]], pause: float) -> type[Any]:
    """A server that answers this command, in full or its first letters, with all those pieces."""

    class Handler(socketserver.StreamRequestHandler):
        server: Server

        def handle(self) -> None:
            self.answer("GREETING")
            while line := self.rfile.readline():
                self.answer(line.decode().strip().upper())
                if line.upper().startswith(b"DATA"):
                    while self.rfile.readline() not in {b".\r\n", b""}:
                        pass
                    self.answer("MAIL TAKEN")

        def answer(self, asked: str) -> None:
            if not asked.startswith(command):
                self.wfile.write(USUAL.get(asked[:5].strip(), b"250 ok\r\n"))
                return
            for piece in pieces():
                self.wfile.write(piece)
                if self.server.ended.wait(pause):
                    return

    return Handler


STAGES = ["GREETING", "EHLO", "MAIL FROM", "RCPT", "DATA", "MAIL TAKEN"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_drip_does_not_hold_a_thread(servers: Any, make_parcel: MakeParcel, stage: str) -> None:
    """A server that always says one byte more within the timeout of a step is left in time."""
    server = servers.tcp(hostile(stage, lambda: repeat(b"2"), 0.1))
    began = time.monotonic()
    with pytest.raises(TemporaryFailure, match=r"took too long.*; check whether it is overloaded"):
        mail_to(server, timeout="1s").deliver(make_parcel())
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("stage", STAGES)
def test_an_endless_reply_is_not_read(servers: Any, make_parcel: MakeParcel, stage: str) -> None:
    """A reply of ever more lines is refused before it fills the memory."""
    server = servers.tcp(hostile(stage, lambda: repeat(b"250-" + b"x" * 996 + b"\r\n"), 0))
    destination = mail_to(server)
    tracemalloc.start()
    try:
        with pytest.raises(TemporaryFailure, match="sent a reply of more than 65,536 bytes"):
            destination.deliver(make_parcel())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_farewell_without_end_keeps_nobody(servers: Any, make_parcel: MakeParcel) -> None:
    """A mail that was taken is delivered, however the server goes on when it is left."""
    for pieces, pause in ((lambda: repeat(b"2"), 0.1), (lambda: repeat(b"250-x\r\n"), 0.0)):
        server = servers.tcp(hostile("QUIT", pieces, pause))
        began = time.monotonic()
        assert mail_to(server, timeout="1s").deliver(make_parcel()).details["mails"] == 1
        assert time.monotonic() - began < 5


def test_half_a_reply_is_none(servers: Any, make_parcel: MakeParcel) -> None:
    """A reply that is cut off by the end of the connection does not count as accepted: it may have
    been a refusal."""
    said: list[bytes] = []

    class Cut(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            hostile_answers = {b"DATA": b"354 go on\r\n"}
            self.wfile.write(b"220 ok\r\n")
            while line := self.rfile.readline():
                said.append(line)
                if line == b".\r\n":
                    self.wfile.write(b"250")
                    return
                if b".\r\n" not in said and b"DATA\r\n" in [each.upper() for each in said[:-1]]:
                    continue
                self.wfile.write(hostile_answers.get(line.strip().upper(), b"250 ok\r\n"))

    server = servers.tcp(Cut)
    with pytest.raises(TemporaryFailure, match="closed the connection before it had answered"):
        mail_to(server).deliver(make_parcel())
    assert said[-1] == b".\r\n"
