"""What network connectors share: the type of timeouts, and plain words for what went wrong."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from connectors.net.proxy_problem import ProxyProblem
from connectors.net.proxy_tunnel import open_tunnel
from daemon.core.proxies import Proxies, Proxy
from daemon.core.settings import PositiveDuration

if TYPE_CHECKING:
    import httpx


CHECK_PROXY = "check that the address is right, and that no proxy intercepts the connection"
"""The remedy for a response that probably did not come from the server itself."""
Timeout = PositiveDuration
"""How long to wait for the server, written `"30s"`."""


def is_host(text: str) -> bool:
    """Return whether `text` can be a host name or address.

    If so, resolving it fails only with the expected exceptions.
    """
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return bool(re.fullmatch(r"[^\s/@]+", text))


def is_loopback(host: str) -> bool:
    """Return whether a host, by name or address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connection(url: httpx.URL, tls: ssl.SSLContext, seconds: float, proxies: Proxies) -> str:
    """Connect to a web address, with TLS for https, describe the connection, and close it.

    Raises OSError, and ProxyProblem.
    """
    proxy = proxies.of(str(url))
    port = url.port or (443 if url.scheme == "https" else 80)
    how = f", {proxies.through(str(url))}" if proxy else ""
    with _connected(url, port, seconds, proxy) as plain:
        if url.scheme == "http":
            return f"unencrypted{how}"
        with tls.wrap_socket(plain, server_hostname=url.host) as encrypted:
            return f"encrypted with {encrypted.version()}{how}"


def _connected(url: httpx.URL, port: int, seconds: float, proxy: Proxy | None) -> socket.socket:
    if proxy is None:
        return socket.create_connection((url.host, port), timeout=seconds)
    return open_tunnel(proxy, url.host, port, seconds, only_reach=url.scheme == "http")


def explain_error(error: BaseException, otherwise: str) -> str:
    """Explain why a connection failed, without showing what was sent or received.

    Returns `otherwise` if the error does not say.
    """
    for each in _with_causes(error):
        if isinstance(each, ProxyProblem):
            return str(each)
        if isinstance(each, ssl.SSLError) and (why := _tls_reason(each)):
            return why
        if isinstance(each, TimeoutError):
            return "there was no answer in time"
        if isinstance(each, socket.gaierror):
            return f"its name cannot be resolved ({(each.strerror or 'unknown host').lower()})"
        if isinstance(each, OSError) and isinstance(
            each.strerror, str
        ):  # smtplib puts a server's answer there, as bytes
            return each.strerror.lower()
    return otherwise


def _tls_reason(error: ssl.SSLError) -> str:
    """Return why TLS failed; empty if the error does not say."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate cannot be verified ({error.verify_message}); if your own "
            "authority issued it, set ca_file"
        )
    if error.reason:
        return f"no encrypted connection could be made ({error.reason.lower().replace('_', ' ')})"
    return ""


def remedy_for(error: BaseException) -> str:
    """Return the remedy for a connection that keeps failing, as the end of a sentence."""
    causes = list(_with_causes(error))
    if proxy := next((each for each in causes if isinstance(each, ProxyProblem)), None):
        return proxy.remedy
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        return "check that no proxy intercepts the connection"
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return "check that it speaks TLS on that port, and that no proxy intercepts the connection"
    if any(isinstance(each, OSError) for each in causes):
        return (
            "check that it runs, that address and port are right, and that name server and "
            "firewall let this machine reach it"
        )
    return CHECK_PROXY


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
