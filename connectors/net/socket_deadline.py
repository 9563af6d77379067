"""Ends an exchange that takes too long as a whole, by cutting its connection.

A socket's timeout only limits the wait for the next bytes, however few they are.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class SocketDeadline:
    """While entered, cuts the guarded connection `seconds` after the start.

    `passed` says whether the time is over. The cut itself shows as an error or as the end of the
    stream.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = self._new_timer(seconds)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def guard(self, connected: socket.socket | None) -> None:
        """Set the connection to cut; cuts it at once if the time is over."""
        with self._lock:
            self._socket = connected
            self._cut_if_passed()

    def restart(self, seconds: float) -> None:
        """Allow `seconds` from now, unless the time is already over."""
        with self._lock:
            self._timer.cancel()
            if not self.passed:
                self._timer = self._new_timer(seconds)
                self._timer.start()

    def _new_timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._pass)
        timer.daemon = True
        return timer

    def _pass(self) -> None:
        with self._lock:
            self.passed = True
            self._cut_if_passed()

    def _cut_if_passed(self) -> None:
        """Wake the reader. SSLSocket's own shutdown would remove TLS from under the reader."""
        if self.passed and self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
