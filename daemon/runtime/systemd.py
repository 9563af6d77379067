"""Reports the service's state to systemd: ready, reloading, stopping, alive, and a status line.

The protocol is one datagram for each message, to the socket that NOTIFY_SOCKET names: sd_notify(3).
Without systemd nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_TO_OPEN = 3600 * 1_000_000
"""Microseconds for opening the store: after an upgrade of a large one its tables are changed."""


class SystemdNotifier:
    """Sends messages to the service manager.

    Methods may be called from any thread, never fail, and return at once.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self.watchdog_every = _watchdog_seconds(environment)
        """Seconds between watchdog pings, a third of systemd's limit; None without a watchdog."""

    def opening(self, status: str = "opening the store") -> None:
        """Report that the store is being opened, and ask for an hour from now on for that.

        Stopped after the unit's own time, an upgrade would begin again at each start for ever.
        """
        self._send(f"EXTEND_TIMEOUT_USEC={_TO_OPEN}", f"STATUS={status}")

    def ready(self, status: str) -> None:
        """Report that the service has started or reloaded."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Report that a reload begins; `ready` ends it.

        The time lets systemd tell this reload from an earlier one.
        """
        self._send(
            "RELOADING=1",
            f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}",
            "STATUS=reading its files again",
        )

    def stopping(self) -> None:
        """Report that the service stops."""
        self._send("STOPPING=1", "STATUS=finishing work in flight")

    def watchdog(self) -> None:
        """Ping the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the status line: no secret, no title of a letter."""
        self._send(f"STATUS={text}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(line.replace("\n", " ") for line in lines).encode()
        # a manager that cannot be reached, even for lack of a socket, is not reported anywhere
        with (
            suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.setblocking(False)
            channel.sendto(message, self._address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """Return a third of WATCHDOG_USEC, if it is meant for this process: sd_watchdog_enabled(3)."""
    wanted = environment.get("WATCHDOG_USEC", "")
    if (
        not wanted.isdecimal()
        or int(wanted) == 0
        or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid())
    ):
        return None
    return int(wanted) / 3_000_000
