"""A file drop in a bucket of S3, or of a compatible server.

S3 has no rename: staged files are copied, and in a letter's folder message.json comes last. A
consumer that waits for that, or for the marker, never sees half a letter. Names are taken with a
conditional put, which the server must support (`If-None-Match: *`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Annotated

from pydantic import AfterValidator

from connectors.drops.destination import DropDestination
from connectors.drops.drop import MANIFEST, STAGING, Seen
from connectors.drops.settings import DropSettings
from daemon.core.buckets import BucketAccess, BucketConnection, bucket_prefix
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Destination

_PIECE = 5 << 20
"""Larger files are uploaded in pieces of this size, the smallest that S3 accepts, and copied by the
server.
"""


class Settings(BucketAccess, DropSettings):
    """`[destination.NAME]` with `type = "s3"`."""

    bucket: str
    prefix: Annotated[str, AfterValidator(bucket_prefix)] = ""
    """The prefix of the names in the bucket, as a folder."""

    @property
    def place(self) -> str:
        """The bucket and the prefix."""
        return "/".join(each for each in (f"s3://{self.bucket}", self.prefix) if each)


def connect(name: str, settings: Settings) -> Destination:
    """Return a drop under `settings.prefix` of the bucket."""
    drop = S3Drop(settings)
    return DropDestination(name, settings, lambda: nullcontext(drop))


class S3Drop:
    """A Drop in a bucket.

    May be used from several threads; the server is not contacted before the first use.
    """

    def __init__(self, settings: Settings) -> None:
        self.place = settings.place
        self._bucket = BucketConnection(
            settings.bucket, settings.prefix, settings, settings.proxies
        )
        self._store = self._bucket.open()

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
            raise TemporaryFailure(self._bucket.trouble(error)) from error
