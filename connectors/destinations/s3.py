"""A file drop in a bucket of S3, or of a compatible server.

S3 has no rename: staged files are copied, and in a letter's folder message.json comes last. A
consumer that waits for that, or for the marker, never sees half a letter. Names are taken with a
conditional put, which the server must support (`If-None-Match: *`).
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from connectors.drops.destination import DropDestination
from connectors.drops.drop import MANIFEST, STAGING, Seen
from connectors.drops.settings import DropSettings
from connectors.net.diagnostics import Timeout
from connectors.net.settings import need_library
from connectors.net.tls import CaFile
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Destination
from daemon.core.settings import SecretFile

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Store

_NO_PROXY = "http://127.0.0.1:9"
_ALL_HOSTS = "*,0.0.0.0/0,::/0"
_PIECE = 5 << 20
"""Larger files are uploaded in pieces of this size, the smallest that S3 accepts, and copied by the
server.
"""


def _checked_prefix(prefix: str) -> str:
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


class Settings(DropSettings):
    """`[destination.NAME]` with `type = "s3"`."""

    bucket: str
    prefix: Annotated[str, AfterValidator(_checked_prefix)] = ""
    """The prefix of the names in the bucket, as a folder."""
    endpoint: Annotated[str, AfterValidator(_checked_endpoint)] = ""
    """The server; empty for Amazon's. Unencrypted if the address begins with `http://`."""
    region: str = "eu-north-1"
    access_key_id: str
    secret_key_file: SecretFile
    ca_file: CaFile = None
    timeout: Timeout = timedelta(seconds=60)
    """For each request, including the library's own retries."""

    @property
    def place(self) -> str:
        """The bucket and the prefix."""
        return "/".join(each for each in (f"s3://{self.bucket}", self.prefix) if each)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        need_library("obstore", "s3")
        return self


def connect(name: str, settings: Settings) -> Destination:
    """Return a drop under `settings.prefix` of the bucket."""
    drop = S3Drop(settings)
    return DropDestination(name, settings, lambda: nullcontext(drop))


def _store(settings: Settings) -> S3Store:
    from obstore.store import S3Store

    return S3Store(
        settings.bucket,
        prefix=settings.prefix or None,
        config={
            "region": settings.region,
            "access_key_id": settings.access_key_id,
            "secret_access_key": settings.secret_key_file.value,
            **({"endpoint": settings.endpoint} if settings.endpoint else {}),
        },
        client_options={
            "timeout": settings.timeout,
            "connect_timeout": settings.timeout,
            "allow_http": settings.endpoint.startswith("http://"),
            **_proxy_options(settings),
            **(
                {"root_certificate": settings.ca_file.read_bytes().removeprefix(BOM_UTF8)}
                if settings.ca_file
                else {}
            ),
        },
        retry_config={"max_retries": 2, "retry_timeout": settings.timeout},
    )


def _address(settings: Settings) -> str:
    return settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"


def _proxy_options(settings: Settings) -> ClientConfig:
    """Return the options for the proxy, or for none.

    Without any, the library would take the environment's; an address that is never used because
    all hosts are excepted keeps it from that.
    """
    proxy = settings.proxies.of(_address(settings))
    if proxy:
        return {"proxy_url": proxy.secret_url}
    return {"proxy_url": _NO_PROXY, "proxy_excludes": _ALL_HOSTS}


class S3Drop:
    """A Drop in a bucket.

    May be used from several threads; the server is not contacted before the first use.
    """

    def __init__(self, settings: Settings) -> None:
        self.place = settings.place
        self._bucket = settings.bucket
        self._server = settings.endpoint or f"S3 in {settings.region}"
        self._through = settings.proxies.through(_address(settings))
        self._store = _store(settings)

    def look(self, path: str) -> Seen | None:
        """Return what has this name; a folder exists as long as something is in it."""
        import obstore

        with self._plain_words(FileNotFoundError):
            try:
                return Seen(size=obstore.head(self._store, path)["size"])
            except FileNotFoundError:
                return Seen(size=None) if any(self._objects(path)) else None

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        return sorted(
            {path.removeprefix(f"{folder}/").partition("/")[0] for path in self._objects(folder)}
        )

    # an object has one name
    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the bytes of a file."""
        import obstore

        with self._plain_words(FileNotFoundError):
            for chunk in obstore.get(self._store, path).stream(min_chunk_size=1 << 20):
                yield bytes(chunk)

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Upload files, large ones in pieces.

        A failed upload leaves at most pieces, which the bucket's lifecycle rules remove.
        """
        import obstore

        for path, chunks in files:
            with self._plain_words():
                obstore.put(self._store, path, iter(chunks), chunk_size=_PIECE, max_concurrency=2)

    def publish(self, source: str, target: str) -> bool:
        """Copy to the final names, then remove the staged files.

        A staged file that is gone has been published. The name is claimed first, so that no other
        letter's files come in between. message.json is copied last and removed first: without it, a
        staged folder is only a remainder to be removed.
        """
        claim = f"{STAGING}/claim-{target.replace('/', '_')}"
        if not self._put_new(claim, source.encode()):
            return False
        staged = sorted(self._tree(source), key=lambda path: path.endswith(f"/{MANIFEST}"))
        complete = staged[-1] in {source, f"{source}/{MANIFEST}"}
        published = not complete or all(
            self._copy_new(path, target + path.removeprefix(source)) for path in staged
        )
        if published:
            self._delete(reversed(staged))
        self._delete([claim])
        return published

    def replace(self, source: str, target: str) -> None:
        """Copy over another file."""
        import obstore

        with self._plain_words():
            obstore.copy(self._store, source, target)
        self._delete([source])

    def sync(self) -> None:
        """Do nothing: each step is as durable as the server can make it."""

    # always durable, as far as the server ensures that
    def remove(self, path: str, *, lasting: bool = True) -> None:  # noqa: ARG002
        """Remove a file, or all files in a folder."""
        self._delete(self._tree(path))

    def tidy(self, folder: str) -> None:
        """Do nothing: a folder without files does not exist."""

    def _copy_new(self, source: str, target: str) -> bool:
        """Copy a file, never over another one.

        An equal one that exists already was copied by an attempt that crashed.
        """
        import obstore

        with self._plain_words():
            size = obstore.head(self._store, source)["size"]
        if size <= _PIECE:
            return self._put_new(target, b"".join(self.read(source)))
        seen = self.look(target)
        if seen is None:
            with self._plain_words():
                obstore.copy(self._store, source, target)
        return seen is None or seen.size == size

    def _put_new(self, path: str, data: bytes) -> bool:
        """Write a small file; return False if one of that name has other bytes."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._plain_words():
            try:
                obstore.put(self._store, path, data, mode="create")
            except AlreadyExistsError:
                return b"".join(self.read(path)) == data
        return True

    def _tree(self, path: str) -> list[str]:
        """Return the file of that name, or all the files in the folder of that name."""
        seen = self.look(path)
        if seen is None:
            return []
        return list(self._objects(path)) if seen.is_folder else [path]

    def _objects(self, folder: str) -> Iterator[str]:
        """Yield each file anywhere in a folder."""
        import obstore

        with self._plain_words():
            for page in obstore.list(self._store, f"{folder}/"):
                yield from (each["path"] for each in page)

    def _delete(self, paths: Iterable[str]) -> None:
        """Remove files one after the other, because their order matters."""
        import obstore

        for path in paths:
            with self._plain_words(FileNotFoundError), suppress(FileNotFoundError):
                obstore.delete(self._store, path)

    @contextmanager
    def _plain_words(self, *passed: type[Exception]) -> Iterator[None]:
        """Raise TemporaryFailure for any failure of the server or the network.

        The library's own words are long, and are not shown.
        """
        from obstore.exceptions import BaseError

        try:
            yield
        except passed:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise TemporaryFailure(self._in_plain_words(error)) from error

    def _in_plain_words(self, error: Exception) -> str:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        if isinstance(error, FileNotFoundError):
            return (
                f"{self._server} has no bucket {self._bucket}, or lost a file in it; check "
                "bucket and endpoint"
            )
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return (
                f"{self._server} refuses the bucket {self._bucket}; check access_key_id, "
                "secret_key_file and the key's rights"
            )
        return (
            f"the bucket {self._bucket} of {self._server} cannot be used "
            f"({type(error).__name__}); check that the server runs{self._and_proxy}"
        )

    @property
    def _and_proxy(self) -> str:
        """The rest of a remedy, where requests go through a proxy."""
        return f"; it is called {self._through}, so check that as well" if self._through else ""
