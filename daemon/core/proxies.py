"""HTTP proxies: which one a connection goes through, for every connector alike.

A proxy comes from the configuration or, where that names none, from the environment. This machine
itself is never reached through a proxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_PROXY_PORT = 80
_EXAMPLE = 'write it such as "http://proxy.example.no:3128"'


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy. `str` does not show its password."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """Its address without user name and password, such as `http://proxy.example.no:3128`."""
        return f"http://{_bracketed(self.host)}:{self.port}"

    @property
    def secret_url(self) -> str:
        """Its address with user name and password, never to be shown."""
        if not self.username:
            return self.address
        name, password = (quote(each, safe="") for each in (self.username, self.password))
        return f"http://{name}:{password}@{_bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return self.address


class _Exception(NamedTuple):
    """One entry of `no_proxy`."""

    host: str
    port: int | None


@dataclass(frozen=True, kw_only=True)
class Proxies:
    """The proxies of a connector; without any, every connection is direct."""

    http: Proxy | None = None
    https: Proxy | None = None
    from_environment: bool = False
    """Whether it is the environment that names them."""
    exceptions: tuple[str, ...] = ()
    """Hosts that are reached directly: names with all names below them, addresses, networks such
    as `10.0.0.0/8`, each with or without a port, or `*` for all.
    """

    def through(self, url: str) -> str:
        """Return the proxy for a web address in words, as the end of a sentence; empty for none."""
        proxy = self.of(url)
        if proxy is None:
            return ""
        named = ", which the environment names" if self.from_environment else ""
        return f"through the proxy {proxy}{named}"

    def of(self, url: str) -> Proxy | None:
        """Return the proxy for a web address; None if it is reached directly."""
        if self.http is self.https is None:
            return None
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        host = (parts.hostname or "").rstrip(".")
        if proxy is None or _is_this_machine(host):
            return None
        port = parts.port or _PORTS.get(parts.scheme)
        excepted = any(_concerns(no_proxy_entry(each), host, port) for each in self.exceptions)
        return None if excepted else proxy


def parse_proxy(text: str) -> Proxy:
    """Return the proxy at an address, which may have a user name and a password.

    Raises ValueError, without showing the address, which may hold the password.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a valid address of a proxy; {_EXAMPLE}") from None
    if parts.scheme != "http":
        raise ValueError(f"is not the address of an HTTP proxy; {_EXAMPLE}")
    if not parts.hostname or parts.path.strip("/") or parts.query or _is_odd(text):
        raise ValueError(f"is not a valid address of a proxy; {_EXAMPLE}")
    return Proxy(
        host=parts.hostname,
        port=port or _PROXY_PORT,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def with_password(proxy: Proxy, password: str) -> Proxy:
    """Return the proxy with a password from elsewhere."""
    return replace(proxy, password=password)


def environment_proxies(environment: Mapping[str, str]) -> Proxies:
    """Return the proxies that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name.

    Names in lower case come first, as curl has it. Raises ValueError, which names the variable.
    """
    http = _from_environment(environment, "http_proxy")
    https = _from_environment(environment, "https_proxy")
    if http is https is None:
        return Proxies()
    listed = _variable(environment, "no_proxy")[1]
    return Proxies(
        http=http,
        https=https,
        from_environment=True,
        exceptions=tuple(each.strip() for each in listed.split(",") if _is_entry(each.strip())),
    )


def no_proxy_entry(text: str) -> _Exception:
    """Return an entry of `no_proxy`: the host without a leading dot, and the port.

    Raises ValueError.
    """
    found = re.fullmatch(r"(?:\*?\.)?(\[[0-9A-Fa-f:.]+\]|[^:\s]+)(?::([0-9]{1,5}))?", text)
    if found:
        return _Exception(found[1].strip("[]").rstrip(".").lower(), int(found[2] or 0) or None)
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a valid host; write a name, which includes all names below it, an "
            'address, or a network such as "10.0.0.0/8"'
        ) from None
    return _Exception(text, None)


def _is_entry(text: str) -> bool:
    """Return whether a piece of `NO_PROXY` says something; others are left out, as curl does."""
    try:
        no_proxy_entry(text)
    except ValueError:
        return False
    return True


def _from_environment(environment: Mapping[str, str], name: str) -> Proxy | None:
    variable, text = _variable(environment, name)
    if not text:
        variable, text = _variable(environment, "all_proxy")
    if not text:
        return None
    try:
        return parse_proxy(text)
    except ValueError as error:
        raise ValueError(f"{variable} in the environment {error}") from None


def _variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the name under which a variable is set, and its value; empty if it is not."""
    for each in (name, name.upper()):
        if text := environment.get(each, "").strip():
            return each, text
    return name, ""


def _concerns(exception: _Exception, host: str, port: int | None) -> bool:
    if exception.port is not None and exception.port != port:
        return False
    if exception.host in {"*", host} or host.endswith(f".{exception.host}"):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception.host, strict=False)
    except ValueError:
        return False


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_odd(text: str) -> bool:
    return not text.isascii() or any(each <= " " or each == "\x7f" for each in text)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def proxies(
    proxy: str | None, password: str, exceptions: Sequence[str], environment: Mapping[str, str]
) -> Proxies:
    """Return the proxies that a configuration means.

    Without `proxy` the environment's count, with an empty one there are none. Raises ValueError.
    """
    if proxy is None:
        found = environment_proxies(environment)
        if found == Proxies():
            return found
        return replace(found, exceptions=(*found.exceptions, *exceptions))
    if not proxy:
        return Proxies()
    parsed = parse_proxy(proxy)
    used = with_password(parsed, password) if password else parsed
    return Proxies(http=used, https=used, exceptions=tuple(exceptions))
