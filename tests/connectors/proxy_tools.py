"""A little HTTP proxy on loopback: CONNECT for https, whole addresses for http.

Every host leads to one server of the test, so that names need no name server.
"""

from __future__ import annotations

import base64
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks.loopback import free_port
from daemon.core.proxies import Proxies, Proxy

HOST = "altinn.example"
USER, PASSWORD = "ola", "hemmelig/@:"


class HttpProxy(socketserver.ThreadingTCPServer):
    """The proxy. `mood`: works, cuts, is silent, or the status with which it refuses."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, login: bool = False, mood: str = "works") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = int(self.server_address[1])
        self.login = login
        self.mood = mood
        self.target = 0
        """The port that every host leads to."""
        self.heads: list[str] = []
        """What was asked, with its headers."""
        self.stopping = threading.Event()

    def proxies(self, username: str = "", password: str = "", **more: Any) -> Proxies:
        proxy = Proxy(host="127.0.0.1", port=self.port, username=username, password=password)
        return Proxies(http=proxy, https=proxy, **more)

    def lets_in(self, head: str) -> bool:
        """Whether a request has the right password."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        sent = re.search(r"(?im)^proxy-authorization: basic (.*?)\r$", head)
        return sent is not None and sent[1] == login

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what some tests are about."""


class _Handler(socketserver.BaseRequestHandler):
    server: HttpProxy

    def handle(self) -> None:
        head = _head_of(self.request)
        if not head:
            return
        self.server.heads.append(head)
        if self.server.mood == "silent":
            self.server.stopping.wait(20)
        if self.server.mood in {"silent", "cuts"}:
            return
        if self.server.mood.isdigit():
            self._refuse(f"{self.server.mood} No")
        elif self.server.login and not self.server.lets_in(head):
            self._refuse("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic")
        else:
            self._serve(head)

    def _refuse(self, how: str) -> None:
        self.request.sendall(f"HTTP/1.1 {how}\r\nContent-Length: 0\r\n\r\n".encode())

    def _serve(self, head: str) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target), 10) as onward:
            if head.startswith("CONNECT "):
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                onward.sendall(re.sub(r" http://[^/]*", " ", head, count=1).encode())
            back = threading.Thread(target=_pump, args=(onward, self.request), daemon=True)
            back.start()
            _pump(self.request, onward)
            back.join(10)


def _head_of(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(1)  # not a byte of what follows
        if not piece:
            return ""
        received += piece
    return received.decode("latin-1")


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def running_proxy(target: int = 0, **how: Any) -> Iterator[HttpProxy]:
    with HttpProxy(**how) as proxy:
        proxy.target = target
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.stopping.set()
            proxy.shutdown()
            thread.join()


def no_proxy_there() -> Proxies:
    """A proxy at a port where nothing listens."""
    proxy = Proxy(host="127.0.0.1", port=free_port())
    return Proxies(http=proxy, https=proxy)
