"""Which addresses of files may be called: only https, only an owner's own servers, only outside.

What a dialog says is not trusted: an address in it could lead into this network, or send a token
to a stranger.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from connectors.dialogporten.files import EXPIRED, HAS_EXPIRED, UNAUTHORIZED
from connectors.dialogporten.owners import OwnerRule

_MASKS = {
    EXPIRED: HAS_EXPIRED,
    UNAUTHORIZED: "the owner withholds it from this system user",
}
Resolver = Callable[[str], Iterable[str]]


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host; none if it has none."""
    try:
        found = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
    except OSError:
        return []
    return [str(each[4][0]) for each in found]


def why_not(url: str, rule: OwnerRule, resolve: Resolver | None = addresses_of) -> str:
    """Return why an address must not be called; empty if it may be.

    `resolve` is not asked for what the operator has listed on this machine; None where an HTTP
    proxy resolves names.
    """
    if url in _MASKS:
        return _MASKS[url]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its address is not valid"
    host = (parts.hostname or "").lower()
    if parts.scheme == "http" and f"http://{parts.netloc.lower()}" in rule.hosts:
        return ""
    faults = {
        "its address has a user name in it": "@" in parts.netloc,
        f"its address is not https but {parts.scheme or 'nothing'}": parts.scheme != "https",
        f"its address has the port {port}": port not in {None, 443},
        f"the server {host} is not in `hosts` of its owner": host not in rule.hosts,
    }
    fault = next((words for words, is_so in faults.items() if is_so), "")
    return fault or (_why_not_there(host, resolve) if resolve else "")


def _why_not_there(host: str, resolve: Resolver) -> str:
    found = list(resolve(host))
    if not found:
        return f"the server {host} has no address"
    inside = [each for each in found if not ipaddress.ip_address(each.partition("%")[0]).is_global]
    return f"the server {host} is within a private network" if inside else ""
