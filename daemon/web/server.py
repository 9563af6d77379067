"""Serves the web doors from a thread of the service."""

from __future__ import annotations

import threading

import uvicorn
from starlette.applications import Starlette

from daemon.errors import StoreError


class WebServer:
    """One ASGI application on one address."""

    def __init__(self, what: str, application: Starlette, host: str, port: int) -> None:
        """`what` names the door in errors."""
        settings = uvicorn.Config(application, host=host, port=port, log_level="warning", access_log=False, lifespan="off")
        self._server = uvicorn.Server(settings)
        self._problem = f"{what} cannot listen on {host}:{port}; is something else there?"

    def loop(self, stopping: threading.Event) -> None:
        """Serve until `stop` is called. Raises StoreError if the address cannot be had."""
        try:
            self._server.run()
        except SystemExit as error:
            raise StoreError(self._problem) from error
        if not stopping.is_set() and not self._server.started:
            raise StoreError(self._problem)

    def stop(self) -> None:
        """Let `loop` end soon; may be called from any thread, and more than once."""
        self._server.should_exit = True
