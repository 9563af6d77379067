"""A connection through an HTTP proxy, for the checks that only connect."""

from __future__ import annotations

import base64
import http.client
import socket

from connectors.net.proxy_problem import ProxyProblem
from daemon.core.proxies import Proxy

_OPEN = range(200, 300)


def open_tunnel(
    proxy: Proxy, host: str, port: int, seconds: float, *, only_reach: bool
) -> socket.socket:
    """Return a socket that leads to the host through the proxy; `seconds` limits each step.

    With `only_reach` it leads to the proxy only, which is asked for nothing. Raises ProxyProblem.
    """
    try:
        connected = socket.create_connection((proxy.host, proxy.port), timeout=seconds)
    except OSError as error:
        reason = (
            "there was no answer in time"
            if isinstance(error, TimeoutError)
            else str(error.strerror or "").lower()
        )
        raise ProxyProblem.unreachable(proxy, reason) from error
    if only_reach:
        return connected
    try:
        _ask(connected, proxy, f"{host}:{port}" if ":" not in host else f"[{host}]:{port}")
    except BaseException:
        connected.close()
        raise
    return connected


def _ask(connected: socket.socket, proxy: Proxy, target: str) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: postmottak"]
    if proxy.username:
        login = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    try:
        connected.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(connected, method="CONNECT")
        answer.begin()
    except TimeoutError as error:
        raise ProxyProblem.silent(proxy) from error
    except (OSError, http.client.HTTPException) as error:
        raise ProxyProblem.cut(proxy) from error
    if answer.status not in _OPEN:
        raise ProxyProblem.refused(proxy, answer.status)
