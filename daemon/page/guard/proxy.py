"""What a reverse proxy says about a visitor: who it is, and from where; and which proxy may.

A proxy is known by the address of its socket, never by a header, and may name users only with the
secret that it shares with the page. Anybody else who names a user is attacking.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence

from starlette.datastructures import Headers

from daemon.config.web import ProxySettings, WebSettings

_IDENTITIES = frozenset({"x-remote-user", "remote-user"})
_FORWARDED = "x-forwarded-for"


class ForeignIdentity(Exception):
    """Something names a user that is not the proxy."""


class ProxyLogin:
    """Finds the user whom the reverse proxy names."""

    def __init__(self, settings: WebSettings, secret: str = "") -> None:
        """Prepare it. `secret` is that of `[web.proxy]`; without one, nobody may name a user."""
        self._settings, self._secret = settings, secret.encode()
        self._proxy = settings.proxy if secret else None

    def user(self, headers: Headers, client: Sequence[object] | None) -> str | None:
        """Return the name; None if the proxy names nobody. Raises ForeignIdentity."""
        ours = {self._proxy.header.lower()} if self._proxy else set()
        if not any(name in headers for name in _IDENTITIES | ours):
            return None
        if not (self._proxy and is_trusted(self._settings, client)):
            raise ForeignIdentity
        if not self._has_secret(headers, self._proxy):
            raise ForeignIdentity
        return _only(headers, self._proxy.header) or None

    def _has_secret(self, headers: Headers, proxy: ProxySettings) -> bool:
        given = _only(headers, proxy.secret_header)
        return secrets.compare_digest(given.encode(), self._secret)


def is_trusted(settings: WebSettings, client: Sequence[object] | None) -> bool:
    """Whether a connection comes from a trusted proxy; over a Unix socket it always does."""
    if settings.listen.path:
        return True
    return _is_proxy(settings, str(client[0]) if client else "")


def visitor_address(
    settings: WebSettings, headers: Headers, client: Sequence[object] | None
) -> str:
    """Return the network address of the visitor, as far as trusted proxies say; may be empty.

    Each proxy adds the address that it sees at the end of `X-Forwarded-For`, so the last one that
    is not a proxy's is the visitor's; what is before it anybody may have written.
    """
    address = str(client[0]) if client and client[0] else ""
    if not is_trusted(settings, client):
        return address
    hops = ",".join(headers.getlist(_FORWARDED)).split(",")
    for hop in reversed([each.strip() for each in hops]):
        if _parsed(hop) is None:
            break
        address = hop
        if not _is_proxy(settings, hop):
            break
    return address


def _is_proxy(settings: WebSettings, address: str) -> bool:
    found = _parsed(address)
    return found is not None and any(
        found in ipaddress.ip_network(each) for each in settings.trusted_proxies
    )


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address; one of IPv4 also where a socket of IPv6 shows it as its own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _only(headers: Headers, name: str) -> str:
    """Return the value of a header that may be there once. Raises ForeignIdentity."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise ForeignIdentity
    try:
        return "".join(values).encode("latin-1").decode().strip()
    except UnicodeDecodeError as error:
        raise ForeignIdentity from error
