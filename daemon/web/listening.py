"""Sockets that listen at an address; tested by `check`, used by the service."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from daemon.config.listen import Address
from daemon.core.ports import Finding
from daemon.web.unix_socket import UnixSocket

_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@contextmanager
def listening(address: Address) -> Iterator[list[socket.socket]]:
    """Listen at the address until the block ends. Raises OSError if that is not possible."""
    with ExitStack() as ends:
        if address.path:
            yield [ends.enter_context(UnixSocket(address.path))]
        else:
            yield [ends.enter_context(each) for each in _listeners(address)]


def _listeners(address: Address) -> list[socket.socket]:
    """Return a listener at each address of the host name that belongs to this machine."""
    found: list[socket.socket] = []
    missing: OSError | None = None
    places = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    try:
        for family, _, _, _, place in dict.fromkeys(places):
            try:
                found.append(socket.create_server(place, family=family))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
        if missing and not found:
            raise missing
    except OSError:
        for each in found:
            each.close()
        raise
    return found


def reason(error: OSError) -> str:
    """Return why the process cannot listen at the address."""
    return (error.strerror or str(error)).lower()


def check_listening(what: str, address: Address, who: str = "the service") -> Finding:
    """Check whether the service, or what else `who` names, can listen there.

    It is not an error if another process does already: it may be just that.
    """
    try:
        with listening(address):
            return Finding(subject=what, ok=True, text=f"can listen on {address}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Finding(
                subject=what,
                ok=True,
                text=(
                    f"something listens on {address}; if {who} is not running, it is another "
                    "program"
                ),
            )
        return Finding(subject=what, ok=False, text=f"cannot listen on {address}: {reason(error)}")
