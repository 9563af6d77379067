"""libcurl's errors as the exceptions that Python itself would raise, for the words of diagnostics.

Source of the codes: https://curl.se/libcurl/c/libcurl-errors.html.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

import pycurl

from connectors.net.limits import Unreachable
from connectors.net.proxy_problem import ProxyProblem
from connectors.net.response_head import ProtocolError
from daemon.core.proxies import Proxy

_BROKEN = frozenset({pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR})
_TLS = frozenset({pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION})
_RESET = "reset by peer"
_NAME_UNKNOWN = "it is unknown, or the name server does not answer"
_TUNNELLED = range(200, 300)


def as_exception(
    code: int, words: str, curl: pycurl.Curl, proxy: Proxy | None, *, connected: bool
) -> Exception:
    """Return what the failed call on `curl` would have raised in Python.

    `connected` says whether the request was on its way, `proxy` which proxy it went through.
    """
    if proxy and not connected and (found := _proxy_problem(code, curl, proxy)):
        return found
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return TimeoutError()
    if code in _BROKEN and _RESET in words:
        return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    cause = _no_connection(code, words, curl)
    if cause is None:
        return ProtocolError()
    error = Unreachable()
    error.__cause__ = cause
    return error


def _no_connection(code: int, words: str, curl: pycurl.Curl) -> OSError | None:
    """Return why no connection could be made, if that is what went wrong."""
    if code in _TLS:
        if _RESET in words:
            return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return _tls_error(code, words)
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return socket.gaierror(socket.EAI_NONAME, _NAME_UNKNOWN)
    if code == pycurl.E_COULDNT_CONNECT:
        number = curl.getinfo(pycurl.OS_ERRNO)
        return OSError(number, os.strerror(number)) if number else OSError()
    return None


def _tls_error(code: int, words: str) -> ssl.SSLError:
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        found = ssl.SSLCertVerificationError(1, words)
        found.verify_message = re.sub(r"^SSL certificate problem: |^SSL: ", "", words)
        return found
    error = ssl.SSLError(1, words)
    error.reason = words.rpartition(":")[2].strip() or "no answer in TLS"
    return error


def _proxy_problem(code: int, curl: pycurl.Curl, proxy: Proxy) -> ProxyProblem | None:
    """Return what is wrong with the proxy; None if the error is the server's."""
    status = curl.getinfo(pycurl.HTTP_CONNECTCODE)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return ProxyProblem.silent(proxy)
    if status in _TUNNELLED:
        return None
    if status:
        return ProxyProblem.refused(proxy, status)
    if reason := _no_proxy(code, curl):
        return ProxyProblem.unreachable(proxy, reason)
    return ProxyProblem.cut(proxy)


def _no_proxy(code: int, curl: pycurl.Curl) -> str:
    """Return why no connection to a proxy could be made, if that is what went wrong."""
    if code == pycurl.E_COULDNT_RESOLVE_PROXY:
        return f"its name cannot be resolved ({_NAME_UNKNOWN})"
    number = curl.getinfo(pycurl.OS_ERRNO)
    return os.strerror(number).lower() if code == pycurl.E_COULDNT_CONNECT and number else ""
