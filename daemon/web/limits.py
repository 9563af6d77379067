"""How much of the process a web endpoint may use whatever clients do: letters need the rest."""

from __future__ import annotations

import resource
from dataclasses import dataclass

_SHARE = 16
"""One in this many of the files that the process may have open can be a connection of one endpoint;
a download opens one more file.
"""
_MOST, _LEAST = 64, 4


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one endpoint."""

    connections: int = _MOST
    """Open at a time. One more replaces the one that has waited longest for its request."""
    request_within: float = 20.0
    """Seconds for a complete request, head and body, to arrive, counted from the connection or the
    last answer.
    """
    idle: int = 5
    """Seconds that a connection is kept after an answer while no further request begins."""
    stalled: float = 60.0
    """Seconds in which a client that reads an answer must take at least some 48 KiB of it, the
    least that asyncio's write buffer notices.
    """
    lingering: float = 2.0
    """Seconds in which what is still sent after a refusal is discarded, so that its sender has time
    to read the refusal.
    """
    discarded: int = 1 << 20
    """At most this many bytes are discarded."""
    body: int = 65536
    """Bytes of a request's body, at most."""
    threads: int = 3
    """Threads that work for the endpoint at a time, each with at most one database connection."""


def limits_of_this_process() -> Limits:
    """Return the limits of an endpoint in this process.

    They depend on the number of files that the process may have open (getrlimit(2)).
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return Limits()
    return Limits(connections=min(max(files // _SHARE, _LEAST), _MOST))
