"""How much of the process a web endpoint may take, whatever its clients do: letters need the rest."""

from __future__ import annotations

import resource
from dataclasses import dataclass

_SHARE = 16
"""One in so many of the files that the process may have open is a connection of one endpoint; a
download opens a file more.
"""
_MOST, _LEAST = 64, 4


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one endpoint."""

    connections: int = _MOST
    """Open at a time. One more takes the place of the one that has waited longest for its request."""
    request_within: float = 20.0
    """Seconds for a request to arrive whole, its head and its body, since the connection was made
    or the last answer given.
    """
    idle: int = 5
    """Seconds that a connection is kept after an answer while no further request begins."""
    stalled: float = 60.0
    """Seconds in which a client that reads an answer must take at least some 48 KiB of it; asyncio's
    write buffer asks for no less.
    """
    lingering: float = 2.0
    """Seconds in which what is still sent after a refusal is discarded, so that its sender has time
    to read the refusal.
    """
    discarded: int = 1 << 20
    """Bytes that are discarded so at most."""
    body: int = 65536
    """Bytes of a request's body."""
    threads: int = 3
    """That work for the endpoint at a time, each with one connection to the database at most."""


def limits_of_this_process() -> Limits:
    """The limits of an endpoint in this process, by the number of files that it may have open (getrlimit(2))."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return Limits()
    return Limits(connections=min(max(files // _SHARE, _LEAST), _MOST))
