"""`[network]`, and the same options of a connector that has a proxy of its own."""

from __future__ import annotations

import os
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from daemon.core.proxies import Proxies, no_proxy_entry, parse_proxy, proxies
from daemon.core.settings import SecretFile


def _proxy_address(text: str) -> str:
    if text and parse_proxy(text).password:
        raise ValueError(
            "holds a password; write it into a file, and the file's name into proxy_password_file"
        )
    return text


def _no_proxy(text: str) -> str:
    no_proxy_entry(text)
    return text


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


class ProxyOptions(BaseModel):
    """Which HTTP proxy connections go through."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    proxy: Annotated[str, AfterValidator(_proxy_address)] | None = None
    """Its address, with a user name if it wants one; empty for no proxy. None for what is meant
    elsewhere: by `[network]`, or by the environment.
    """
    proxy_password_file: Annotated[SecretFile | None, BeforeValidator(_none_if_empty)] = None
    no_proxy: tuple[Annotated[str, AfterValidator(_no_proxy)], ...] = ()
    """Hosts that are reached directly: names with all names below them, addresses and networks."""

    @model_validator(mode="after")
    def _password_has_user(self) -> Self:
        if self.proxy_password_file and not (self.proxy and parse_proxy(self.proxy).username):
            raise ValueError(
                "has proxy_password_file without a user name in proxy; write it such as "
                '"http://user@proxy.example.no:3128"'
            )
        return self

    def own_proxies(self) -> Proxies:
        """Return what these options mean; without `proxy`, the environment's proxies.

        Raises ValueError, which names the variable, if the environment's cannot be used.
        """
        password = self.proxy_password_file.value if self.proxy_password_file else ""
        return proxies(self.proxy, password, self.no_proxy, os.environ)
