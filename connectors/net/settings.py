"""The types of settings for hosts, addresses and waits, shared by all connectors."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from connectors.net.diagnostics import is_host, is_loopback
from daemon.core.durations import duration
from daemon.core.network import ProxyOptions
from daemon.core.proxies import Proxies
from daemon.core.settings import MailboxSettings


class HttpMailboxSettings(MailboxSettings, ProxyOptions):
    """Base of the `Settings` of a mailbox that is called over HTTP.

    A proxy of its own, or none with an empty one, takes the place of `[network]`.
    """

    @model_validator(mode="after")
    def _exceptions_have_proxy(self) -> Self:
        if self.no_proxy and not self.proxy:
            raise ValueError("has no_proxy without proxy; write both, or both into [network]")
        return self

    @property
    def proxies(self) -> Proxies:
        """The HTTP proxies for the mailbox's connections."""
        return super().proxies if self.proxy is None else self.own_proxies()


def all_or_duration(value: object) -> timedelta | None:
    """Parse a duration; None for `"all"`. Raises ValueError."""
    return None if value is None or value == "all" else duration(value)


def without_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    """Require at least one name, and none twice. Raises ValueError."""
    if not values:
        raise ValueError("is empty; name at least one")
    repeated = next((each for each in values if values.count(each) > 1), None)
    if repeated:
        raise ValueError(f"names {repeated!r} twice; remove one of them")
    return values


def is_safe(url: str) -> bool:
    """Return whether secrets may be sent there: encrypted, or within this machine.

    A password in the address would show in errors.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def _checked_host(text: str) -> str:
    if not is_host(text):
        raise ValueError(
            f"is not a valid server name or address: {text!r}; write it alone, without a port or a "
            "path"
        )
    return text


def web_address(text: str) -> str:
    """Require a whole web address without a user name. Raises ValueError."""
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if (
        url.scheme not in {"http", "https"}
        or not is_host(url.host)
        or not 0 < (url.port or 1) < 1 << 16
    ):
        raise ValueError(
            "is not a valid web address; write all of it, such as "
            '"https://erp.example.no/hooks/post"'
        )
    if url.userinfo:
        raise ValueError(
            "holds a user name or password; leave it out, because addresses are shown in output"
        )
    return text


Host = Annotated[str, AfterValidator(_checked_host)]
"""The name or address of a server."""
WebAddress = Annotated[str, AfterValidator(web_address)]
"""A whole web address, such as `"https://erp.example.no/hooks/post"`."""
