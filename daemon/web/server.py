"""Serves the web doors from a thread of the service."""

from __future__ import annotations

import threading

import uvicorn
from starlette.applications import Starlette

from daemon.errors import StoreError


class WebServer:
    """One ASGI application on one address."""

    def __init__(self, application: Starlette, host: str, port: int) -> None:
        settings = uvicorn.Config(application, host=host, port=port, log_level="warning", access_log=False, lifespan="off")
        self._server = uvicorn.Server(settings)
        self._address = f"{host}:{port}"

    def loop(self, stopping: threading.Event) -> None:
        """Serve until `stop` is called. Raises StoreError if the address cannot be had."""
        try:
            self._server.run()
        except SystemExit as error:
            raise StoreError(f"the pull API cannot listen on {self._address}; is something else there?") from error
        if not stopping.is_set() and not self._server.started:
            raise StoreError(f"the pull API cannot listen on {self._address}; is something else there?")

    def stop(self) -> None:
        """Let `loop` end soon; may be called from any thread, and more than once."""
        self._server.should_exit = True
