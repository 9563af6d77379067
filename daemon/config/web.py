"""`[web]`: the page. Read by `postmottak web run`; the service only checks it.

Files with secrets are read by the page when it starts, so that the service needs no access to them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from daemon.config.listen import Address, ListenAddress
from daemon.core.rights import Role
from daemon.core.settings import FilePath

Login = Literal["local", "oidc", "proxy"]


def _web_address(text: str) -> str:
    """Return an address without a path, and without a slash at its end."""
    found = urlsplit(text)
    if found.scheme not in {"http", "https"} or not found.hostname or found.path.strip("/"):
        raise ValueError(
            "is not a valid address of the page; write scheme and host, without a path, such as "
            '"https://post.example.no"'
        )
    return text.rstrip("/")


def _issuer(text: str) -> str:
    found = urlsplit(text)
    local = found.hostname in {"127.0.0.1", "localhost", "::1"}
    if not found.hostname or found.scheme not in {"https", *(["http"] if local else [])}:
        raise ValueError(
            "is not an https address; copy the issuer from the provider, such as "
            '"https://login.microsoftonline.com/TENANT/v2.0"'
        )
    return text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(
            f'{text!r} is not a valid address or network; write it such as "10.0.0.5" or '
            '"10.0.0.0/24"'
        ) from error


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
OptionalFile = Annotated[FilePath | None, BeforeValidator(_none_if_empty)]


class OidcSettings(BaseModel):
    """`[web.oidc]`: log-in through an OpenID Connect provider, such as Entra ID."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: FilePath
    name_claim: str = "preferred_username"
    """The claim that has the user's name."""
    role_claim: str = "roles"
    """The claim that lists what `roles` maps."""
    roles: Mapping[str, tuple[Role, ...]] = Field(default_factory=dict)
    """Which roles a value of the claim brings. Values are compared exactly, never as patterns."""


class ProxySettings(BaseModel):
    """`[web.proxy]`: log-in by a reverse proxy that names the user in a header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: HeaderName = "X-Remote-User"
    secret_header: HeaderName = "X-Postmottak-Proxy"  # noqa: S105  # the name of a header
    secret_file: FilePath
    """The shared secret that the proxy sends in `secret_header`."""


class WebSettings(BaseModel):
    """`[web]`: the page. Without the section `web run` uses the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    listen: ListenAddress = Address(host="127.0.0.1", port=8770)
    public_url: Annotated[
        Annotated[str, AfterValidator(_web_address)] | None, BeforeValidator(_none_if_empty)
    ] = None
    """The address that browsers use; the only source of absolute links."""
    login: Annotated[tuple[Login, ...], Field(min_length=1)] = ("local",)
    tls_cert_file: OptionalFile = None
    tls_key_file: OptionalFile = None
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Addresses and networks of the reverse proxies that may connect."""
    operators_see_titles: bool = True
    """Whether operators, who may not open letters, see their titles in lists."""
    oidc: OidcSettings | None = None
    proxy: ProxySettings | None = None

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("needs both tls_cert_file and tls_key_file, or neither of them")
        if not (self.is_local or self.tls_cert_file or self.trusted_proxies):
            raise ValueError(
                f"listens on {self.listen}, which other machines can reach, without encryption; "
                "name tls_cert_file and tls_key_file, or the trusted_proxies before it, or listen "
                'on "127.0.0.1:8770"'
            )
        for name in ("oidc", "proxy"):
            if name in self.login and getattr(self, name) is None:
                raise ValueError(f'has the log-in "{name}" and no section [web.{name}]; add it')
        if "proxy" in self.login and not (self.trusted_proxies or self.listen.path):
            raise ValueError(
                'has the log-in "proxy" and names no trusted_proxies; name the addresses of the '
                "proxy, or listen on a Unix socket"
            )
        if "oidc" in self.login and not self.public_url and self._is_behind_proxy:
            raise ValueError(
                'has the log-in "oidc" and no public_url, to which the provider sends browsers '
                'back; name it, such as "https://post.example.no"'
            )
        return self

    @property
    def _is_behind_proxy(self) -> bool:
        return self.listen.path is not None or bool(self.trusted_proxies)

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect."""
        return self.listen.path is not None or _is_loopback(self.listen.host)

    @property
    def url(self) -> str:
        """Return the address that links begin with."""
        scheme = "https" if self.tls_cert_file else "http"
        return self.public_url or f"{scheme}://{self.listen}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
