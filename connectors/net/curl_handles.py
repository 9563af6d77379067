"""Handles of libcurl, set up so that a call does what it is told and nothing else.

No redirects, no decompression, no protocol but HTTP/1.1 with and without TLS, no signals, no
.netrc, no proxy but the one that is named. libcurl brings a TLS library of its own, so the system's
authorities are named to it explicitly. This module is imported at the first call, so that there is
no handle before the service has forked.
"""

from __future__ import annotations

import ssl
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path

import pycurl

from connectors.net.kept_sockets import Addresses, KeptSockets
from connectors.net.transfer import HttpRequest
from daemon.core.proxies import Proxy

_BUFFER = 64 * 1024
_KEPT = 20  # seconds that a connection stays open unused


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The authorities that are trusted: the system's, and those of one file in addition."""

    bundle: bytes
    """In PEM; empty for none but those in `folder`."""
    folder: str | None
    """The system's folder of authorities by their hashes."""


def read_trust(ca_file: Path | None) -> Trust:
    """Return whom Python itself would trust, `SSL_CERT_FILE` and `SSL_CERT_DIR` included.

    Raises OSError.
    """
    system = ssl.get_default_verify_paths()
    files = [Path(each) for each in (system.cafile, ca_file) if each]
    bundle = b"\n".join(each.read_bytes().removeprefix(BOM_UTF8) for each in files)
    return Trust(bundle=bundle, folder=system.capath)


class CurlHandle:
    """A handle for any number of calls, one after the other."""

    def __init__(self, trust: Trust, kept: KeptSockets, connect_seconds: float) -> None:
        self.curl = _new_curl(trust, connect_seconds)
        self.lines: list[bytes] = []
        """The head lines of the call that is in flight, those of a proxy included."""
        self.pieces: list[bytes] = []
        """What has come of its body and was not taken."""
        self.asked = False
        """Whether the request is sent, on a connection that stands."""
        self.spoilt = False
        """Whether the connection that was kept for it cannot be used; nothing was sent."""
        self.addresses: Addresses = ()
        self._kept = kept
        self._proxy: Proxy | None = None
        self._is_plain = True
        """Whether options that only some calls need have their usual values."""
        self.curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self.pieces.append)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._on_connected)

    def prepare(self, request: HttpRequest, proxy: Proxy | None) -> None:
        """Set the next call. Raises ProtocolError, if it would not be a valid request."""
        lines = request.lines()
        self.lines.clear()
        self.pieces.clear()
        self.asked = self.spoilt = False
        self.curl.setopt(pycurl.URL, request.url)
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        if not self._is_plain:
            self.curl.setopt(pycurl.HTTPGET, 1)
            self.curl.unsetopt(pycurl.CUSTOMREQUEST)
            self.curl.setopt(pycurl.FRESH_CONNECT, 0)
            self._is_plain = True
        if request.method not in {"GET", "POST"}:
            self.curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            self._is_plain = False
        elif request.method != "GET":
            self.curl.setopt(pycurl.POST, 1)
            self.curl.setopt(pycurl.POSTFIELDS, request.content)
            self._is_plain = False
        if proxy != self._proxy:
            self._set_proxy(proxy)

    def avoid_kept(self) -> None:
        """Make the same call over a new connection."""
        self.spoilt = False
        self.curl.setopt(pycurl.FRESH_CONNECT, 1)
        self._is_plain = False

    def _on_connected(self, *addresses: object) -> int:
        """Allow one request; libcurl itself would repeat one on which a connection broke."""
        if self.asked:
            return pycurl.PREREQFUNC_ABORT
        if self._kept.is_spoilt(addresses):
            self.spoilt = True
            return pycurl.PREREQFUNC_ABORT
        self.asked, self.addresses = True, addresses
        self.lines.clear()  # those of a proxy
        return pycurl.PREREQFUNC_OK

    def _set_proxy(self, proxy: Proxy | None) -> None:
        """Let calls go through `proxy`, or through none, whatever the environment says."""
        self._proxy = proxy
        self.curl.setopt(pycurl.PROXY, proxy.address if proxy else "")
        if proxy and proxy.username:
            self.curl.setopt(pycurl.PROXYUSERNAME, proxy.username.encode())
            self.curl.setopt(pycurl.PROXYPASSWORD, proxy.password.encode())
        else:
            self.curl.unsetopt(pycurl.PROXYUSERNAME)
            self.curl.unsetopt(pycurl.PROXYPASSWORD)


def _new_curl(trust: Trust, connect_seconds: float) -> pycurl.Curl:
    curl = pycurl.Curl()
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.USERAGENT, "postmottak"),
        (pycurl.BUFFERSIZE, _BUFFER),
        (pycurl.CONNECTTIMEOUT_MS, max(1, int(connect_seconds * 1000))),
        (pycurl.MAXAGE_CONN, _KEPT),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC),
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, ""),
    ):
        curl.setopt(option, value)
    _set_trust(curl, trust)
    return curl


def _set_trust(curl: pycurl.Curl, trust: Trust) -> None:
    """Name the authorities, and unset those that libcurl was built with."""
    curl.unsetopt(pycurl.CAINFO)
    if trust.bundle:
        curl.setopt(pycurl.CAINFO_BLOB, trust.bundle)
    if trust.folder:
        curl.setopt(pycurl.CAPATH, trust.folder)
    else:
        curl.unsetopt(pycurl.CAPATH)
