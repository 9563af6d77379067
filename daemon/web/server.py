"""Serves the web doors, each from a thread of the service."""

from __future__ import annotations

import threading

import uvicorn
from starlette.applications import Starlette

from daemon.addresses import Address
from daemon.errors import StoreError
from daemon.web.unix_socket import UnixSocket


class WebServer:
    """One ASGI application on one address."""

    def __init__(self, what: str, application: Starlette, address: Address) -> None:
        """`what` names the door, also in errors."""
        self.what, self._address = what, address
        settings = uvicorn.Config(application, host=address.host, port=address.port, log_level="warning", access_log=False, lifespan="off")
        self._server = uvicorn.Server(settings)
        self._problem = f"{what} cannot listen on {address}"

    def loop(self, stopping: threading.Event) -> None:
        """Serve until `stop` is called. Raises StoreError if the address cannot be had."""
        try:
            self._serve()
        except SystemExit as error:
            raise self._refused("is something else there?") from error
        except OSError as error:
            raise self._refused((error.strerror or str(error)).lower()) from error
        if not stopping.is_set() and not self._server.started:
            raise self._refused("is something else there?")

    def stop(self) -> None:
        """Let `loop` end soon; may be called from any thread, and more than once."""
        self._server.should_exit = True

    def _serve(self) -> None:
        if self._address.path is None:
            self._server.run()
            return
        with UnixSocket(self._address.path) as listener:
            self._server.run(sockets=[listener])

    def _refused(self, reason: str) -> StoreError:
        return StoreError(f"{self._problem}: {reason}")
