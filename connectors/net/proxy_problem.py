"""What goes wrong at an HTTP proxy, in plain words, whichever library notices it."""

from __future__ import annotations

from typing import Self

from daemon.core.proxies import Proxy

NEEDS_LOGIN = 407
_SETTINGS = "`proxy` in the configuration, or HTTPS_PROXY in the environment"


class ProxyProblem(Exception):
    """A proxy that could not be used. `remedy` says what to do, as the end of a sentence.

    `again`: repeating the call at once may help.
    """

    def __init__(self, reason: str, remedy: str, *, again: bool = False) -> None:
        self.remedy = remedy
        self.again = again
        super().__init__(reason)

    @classmethod
    def refused(cls, proxy: Proxy, status: int) -> Self:
        """Return the problem of a proxy that answered with a status instead of connecting."""
        if status != NEEDS_LOGIN:
            return cls(
                f"the proxy {proxy} does not connect to it (status {status})",
                "have the proxy allow this address, or name the host in `no_proxy`",
            )
        if proxy.username:
            return cls(
                f"the proxy {proxy} refuses the user name or the password (status {status})",
                "correct the user name in `proxy`, and the password in `proxy_password_file`",
            )
        return cls(
            f"the proxy {proxy} wants a user name and a password (status {status})",
            "write the user name into `proxy`, and set `proxy_password_file`",
        )

    @classmethod
    def unreachable(cls, proxy: Proxy, reason: str) -> Self:
        """Return the problem of a proxy that no connection could be made to."""
        why = f": {reason}" if reason else ""
        return cls(
            f"the proxy {proxy} cannot be reached{why}",
            f"check that the proxy runs, and that {_SETTINGS}, is right",
        )

    @classmethod
    def silent(cls, proxy: Proxy) -> Self:
        """Return the problem of a proxy that made no connection in time."""
        return cls(
            f"the proxy {proxy} made no connection in time",
            "check that the proxy runs and reaches the address",
        )

    @classmethod
    def cut(cls, proxy: Proxy) -> Self:
        """Return the problem of a proxy that closed the connection instead of answering."""
        return cls(
            f"the proxy {proxy} broke off the connection",
            f"check that the proxy speaks HTTP on that port, and that {_SETTINGS}, is right",
            again=True,
        )
