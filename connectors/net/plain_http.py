"""Warnings of `check` about http: a server that wants https, and calls that others can read."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from connectors.net.diagnostics import is_loopback
from daemon.core.ports import Finding
from daemon.core.proxies import Proxies

if TYPE_CHECKING:
    import httpx

_USUALLY_HTTPS = frozenset({443, 8443})
_LONGEST = (
    5.0  # seconds; a server that speaks plain HTTP may wait for more of what it takes for a call
)


def check_plain_http(
    subject: str, who: str, url: httpx.URL, seconds: float, proxies: Proxies
) -> Iterator[Finding]:
    """Report what is wrong with an http address that can be connected to; nothing for https.

    `who` is the server in words. It is asked for TLS, unless it is behind a proxy, and sent nothing
    else.
    """
    if url.scheme != "http":
        return
    port = url.port or 80
    if proxies.of(str(url)) is None and _speaks_tls(url.host, port, min(seconds, _LONGEST)):
        text = (
            f"{who} speaks TLS on port {port}, so plain HTTP fails there; write https in the "
            "address"
        )
        yield Finding(subject=subject, ok=False, text=text)
        return
    if port in _USUALLY_HTTPS:
        text = f"{who}: port {port} is usually for https; write https in the address if it has it"
        yield Finding(subject=subject, ok=True, text=text, warning=True)
    if not is_loopback(url.host):
        text = (
            "letters go unencrypted, and anyone on the way can read them; write https in the "
            "address if it has it"
        )
        yield Finding(subject=subject, ok=True, text=text, warning=True)


def _speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Whether the server answers TLS, whatever its certificate or version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        # an alert is an answer in TLS as well; anything else is not
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
