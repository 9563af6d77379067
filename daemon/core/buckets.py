"""Buckets of S3, and of compatible servers: how they are reached, and what is wrong in plain words.

The destination `s3` and the content store use the same settings and the same library.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, model_validator

from daemon.core.optional_libraries import need_library
from daemon.core.proxies import Proxies
from daemon.core.settings import PositiveDuration, SecretFile, open_secret
from daemon.core.tls import CaFile

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Store

_NO_PROXY = "http://127.0.0.1:9"
_ALL_HOSTS = "*,0.0.0.0/0,::/0"


def bucket_prefix(prefix: str) -> str:
    """Return the prefix without slashes at its ends. Raises ValueError if it is not plain."""
    if not re.fullmatch(
        r"(?:[A-Za-z0-9_=-][A-Za-z0-9._=-]*/)*(?:[A-Za-z0-9_=-][A-Za-z0-9._=-]*)?", prefix
    ):
        raise ValueError(
            f"is not a valid prefix: {prefix!r}; write plain names with / between "
            'them, such as "post/inn"'
        )
    return prefix.strip("/")


def _checked_endpoint(url: str) -> str:
    if url and (
        not url.startswith(("https://", "http://")) or not urlsplit(url).hostname or "@" in url
    ):
        raise ValueError(
            "is not a valid server address; write https:// and its name, or leave it empty for "
            "Amazon's"
        )
    return url


class BucketAccess(BaseModel):
    """The options that say how a bucket is reached; those of who uses it come with the subclass."""

    endpoint: Annotated[str, AfterValidator(_checked_endpoint)] = ""
    """The server; empty for Amazon's. Unencrypted if the address begins with `http://`."""
    region: str = "eu-north-1"
    access_key_id: str
    secret_key_file: SecretFile
    ca_file: CaFile = None
    timeout: PositiveDuration = timedelta(seconds=60)
    """For each request, including the library's own retries."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        need_library("obstore", "s3")
        return self


@dataclass(frozen=True)
class BucketConnection:
    """A bucket, or the part of it under a prefix, and how it is reached."""

    name: str
    prefix: str
    access: BucketAccess
    proxies: Proxies

    def open(self, *, checksums: bool = False) -> S3Store:
        """Return the library's object for it; the server is not contacted yet.

        With `checksums`, the server is sent the SHA-256 of what it is to keep, and compares it.
        Raises ValueError or OSError if the secret is only read now, and cannot be.
        """
        from obstore.store import S3Store

        access = self.access
        return S3Store(
            self.name,
            prefix=self.prefix or None,
            config={
                "region": access.region,
                "access_key_id": access.access_key_id,
                "secret_access_key": open_secret(access.secret_key_file).value,
                **({"endpoint": access.endpoint} if access.endpoint else {}),
                **({"checksum_algorithm": "SHA256"} if checksums else {}),
            },
            client_options={
                "timeout": access.timeout,
                "connect_timeout": access.timeout,
                "allow_http": access.endpoint.startswith("http://"),
                **self._proxy_options(),
                **(
                    {"root_certificate": access.ca_file.read_bytes().removeprefix(BOM_UTF8)}
                    if access.ca_file
                    else {}
                ),
            },
            retry_config={"max_retries": 2, "retry_timeout": access.timeout},
        )

    @property
    def place(self) -> str:
        """The bucket and the prefix."""
        return "/".join(each for each in (f"s3://{self.name}", self.prefix) if each)

    @property
    def server(self) -> str:
        """The server, as an operator would recognise it."""
        return self.access.endpoint or f"S3 in {self.access.region}"

    def trouble(self, error: Exception) -> str:
        """Return a failure of the server or the network in plain words, with what to do.

        The library's own words are long, and are not shown.
        """
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        if isinstance(error, FileNotFoundError) or "<Code>NoSuchBucket<" in str(error):
            return (
                f"{self.server} has no bucket {self.name}, or lost a file in it; check "
                "bucket and endpoint"
            )
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return (
                f"{self.server} refuses the bucket {self.name}; check access_key_id, "
                "secret_key_file and the key's rights"
            )
        return (
            f"the bucket {self.name} of {self.server} cannot be used "
            f"({type(error).__name__}); check that the server runs{self._and_proxy}"
        )

    def fault(self) -> str:
        """Return why the bucket cannot be listed, with what to do; empty if it can."""
        try:
            next(iter(self.open().list(chunk_size=1)), None)
        except bucket_failures() as error:
            return self.trouble(error)
        return ""

    @property
    def _address(self) -> str:
        return self.access.endpoint or f"https://s3.{self.access.region}.amazonaws.com"

    @property
    def _and_proxy(self) -> str:
        """The rest of a remedy, where requests go through a proxy."""
        through = self.proxies.through(self._address)
        return f"; it is called {through}, so check that as well" if through else ""

    def _proxy_options(self) -> ClientConfig:
        """Return the options for the proxy, or for none.

        Without any, the library would take the environment's; an address that is never used
        because all hosts are excepted keeps it from that.
        """
        if proxy := self.proxies.of(self._address):
            return {"proxy_url": proxy.secret_url}
        return {"proxy_url": _NO_PROXY, "proxy_excludes": _ALL_HOSTS}


def bucket_failures() -> tuple[type[Exception], ...]:
    """Return what the library raises when the server or the network fails."""
    from obstore.exceptions import BaseError

    return BaseError, OSError, ValueError
