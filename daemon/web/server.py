"""Serves the web doors, each from a thread of the service."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from daemon.addresses import Address
from daemon.errors import StoreError
from daemon.pulses import BEAT_EVERY
from daemon.web.unix_socket import UnixSocket


class WebServer:
    """One ASGI application on one address."""

    def __init__(self, what: str, application: Starlette, address: Address) -> None:
        """`what` names the door, also in errors."""
        self.what, self._address = what, address
        settings = uvicorn.Config(
            application,
            host=address.host,
            port=address.port,
            http="h11",  # with httptools, which uvicorn prefers, a head of any length is read into memory
            log_level="warning",
            access_log=False,
            lifespan="off",
        )
        self._server = uvicorn.Server(settings)
        self._problem = f"{what} cannot listen on {address}"

    def loop(self, stopping: threading.Event, beat: Callable[[], None]) -> None:
        """Serve until `stop` is called, with a `beat` every `BEAT_EVERY` seconds. Raises StoreError if the address cannot be had."""
        try:
            self._serve(beat)
        except SystemExit as error:
            raise self._refused("is something else there?") from error
        except OSError as error:
            raise self._refused((error.strerror or str(error)).lower()) from error
        if not stopping.is_set() and not self._server.started:
            raise self._refused("is something else there?")

    def stop(self) -> None:
        """Let `loop` end soon; may be called from any thread, and more than once."""
        self._server.should_exit = True

    def _serve(self, beat: Callable[[], None]) -> None:
        if self._address.path is None:
            asyncio.run(self._serve_with(beat, None))
            return
        with UnixSocket(self._address.path) as listener:
            asyncio.run(self._serve_with(beat, [listener]))

    async def _serve_with(self, beat: Callable[[], None], sockets: list[socket.socket] | None) -> None:
        beating = asyncio.create_task(_beat_on(beat))
        try:
            await self._server.serve(sockets)
        finally:
            beating.cancel()

    def _refused(self, reason: str) -> StoreError:
        return StoreError(f"{self._problem}: {reason}")


async def _beat_on(beat: Callable[[], None]) -> None:
    """Beat as long as the loop turns that answers."""
    while True:
        beat()
        await asyncio.sleep(BEAT_EVERY)
