"""Serves the web endpoints, each from a thread of the service.

One that cannot listen is shown as a problem; letters are not affected.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import structlog
import uvicorn
from starlette.applications import Starlette

from daemon.config.listen import Address
from daemon.core.bookkeeping import ENDPOINT
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.heartbeat import HEARTBEAT_INTERVAL
from daemon.web.limits import Limits, limits_of_this_process
from daemon.web.listening import listening, reason
from daemon.web.protocol import EndpointConfig, EndpointProtocol

_log = structlog.get_logger(__name__)
_AGAIN = 10.0  # seconds after which an address that was not available is tried again
_ACCEPT_AT_A_TIME = 8  # asyncio accepts this many connections before it serves one of them
_QUEUE = 128  # connections that wait in the kernel to be accepted
_END_WITHIN = 4  # seconds that answers get to end when the service stops
_CANCEL_AFTER = 6  # seconds after which unfinished answers are cancelled


class WebServer:
    """One ASGI application on one address."""

    def __init__(
        self,
        what: str,
        application: Starlette,
        address: Address,
        *,
        problems: ServiceProblems | None = None,
        limits: Limits | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        """Prepare the server. `what` names the endpoint in problems and in the log.

        `tls` are the files of the certificate and of its key; without them it speaks plain HTTP.
        """
        self._tls = tls
        self.what, self._address, self._application = what, address, application
        self._problems = problems or ServiceProblems()
        self._limits = limits or limits_of_this_process()
        self._stopped = threading.Event()
        self._server: _Server | None = None

    def loop(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        """Serve until `stop` is called, with a `beat` every `HEARTBEAT_INTERVAL` seconds.

        If that fails, try again until it succeeds.
        """
        while not (stopping.is_set() or self._stopped.is_set()):
            try:
                self._serve(beat)
            except OSError as error:
                self._report(reason(error))
            # a failing endpoint must not stop letters
            except Exception as fault:  # noqa: BLE001
                _log.exception("a web endpoint failed", endpoint=self.what)
                self._report(f"unexpected {type(fault).__name__}, see the log")
            beat()
            if not self._stopped.is_set():
                stopping.wait(_AGAIN)

    def stop(self) -> None:
        """Let `loop` end soon; may be called from any thread, and more than once."""
        self._stopped.set()
        if self._server:
            self._server.should_exit = True

    def _serve(self, beat: Callable[[], None]) -> None:
        with listening(self._address) as listeners:
            self._server = server = _Server(
                _settings(self._application, self._limits, self._tls), self._limits, self._listens
            )
            if not self._stopped.is_set():
                asyncio.run(_serve_with(server, listeners, beat))

    def _listens(self) -> None:
        self._problems.end(ENDPOINT, self.what)

    def _report(self, why: str) -> None:
        text = (
            f"{self.what} cannot listen on {self._address}: {why}; letters are not affected, and "
            "it is tried again"
        )
        if self._problems.begin(Problem(kind=ENDPOINT, about=self.what, text=text)):
            _log.error(
                "a web endpoint cannot listen",
                endpoint=self.what,
                address=str(self._address),
                reason=why,
            )


class _Server(uvicorn.Server):
    """uvicorn's server, which also enforces the time limits of its connections."""

    def __init__(self, config: uvicorn.Config, limits: Limits, listens: Callable[[], None]) -> None:
        super().__init__(config)
        self._limits, self._listens = limits, listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does; then set the length of the kernel's queue."""
        anyio.to_thread.current_default_thread_limiter().total_tokens = self._limits.threads
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(_QUEUE)
        self._listens()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, and after a while without those that do not read their answers."""
        waiting = asyncio.get_running_loop().call_later(_END_WITHIN, self._abort_all)
        await super().shutdown(sockets)
        waiting.cancel()

    def _abort_all(self) -> None:
        for each in self._connections():
            each.abort()

    def _connections(self) -> list[EndpointProtocol]:
        return [
            each for each in self.server_state.connections if isinstance(each, EndpointProtocol)
        ]

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn does, ten times a second."""
        now = asyncio.get_running_loop().time()
        for each in self._connections():
            each.end_if_overdue(now)
        return await super().on_tick(counter)


def _settings(
    application: Starlette, limits: Limits, tls: tuple[Path, Path] | None
) -> uvicorn.Config:
    certificate, key = tls or (None, None)
    settings = EndpointConfig(
        application,
        # on h11: with httptools, which uvicorn prefers, a head of any length is read into memory
        http=EndpointProtocol,
        ws="none",  # a connection that changes its protocol would escape our limits
        log_config=None,  # the process has its own: uvicorn's prints what exceptions say
        log_level="error",  # what clients send must not fill the log
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,  # whom a proxy speaks for is decided by the application
        ssl_certfile=certificate,
        ssl_keyfile=key,
        backlog=_ACCEPT_AT_A_TIME,
        timeout_keep_alive=limits.idle,
        timeout_graceful_shutdown=_CANCEL_AFTER,
    )
    settings.limits = limits
    return settings


async def _serve_with(
    server: uvicorn.Server, listeners: list[socket.socket], beat: Callable[[], None]
) -> None:
    beating = asyncio.create_task(_beat_on(beat))
    try:
        await server.serve(listeners)
    finally:
        beating.cancel()


async def _beat_on(beat: Callable[[], None]) -> None:
    """Send heartbeats as long as the event loop runs."""
    while True:
        beat()
        await asyncio.sleep(HEARTBEAT_INTERVAL)
