"""The bytes of attachments in a bucket of S3 or a compatible server, for several nodes or one.

They are hashed while they are written to a file of this machine, because their name is known last,
and are then put under it, which makes all of them visible or nothing. The bucket has them durably
when `publish` returns. They are read from a cache on this machine.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.core.buckets import BucketConnection, bucket_failures
from daemon.core.callbacks import do_nothing
from daemon.core.errors import ContentMissing, ContentUnavailable, StorageUnreachable
from daemon.runtime.owner import make_folder
from daemon.runtime.thread_pool import ThreadPool
from daemon.store.content import PREFIXES, ContentStore, guarded, missing
from daemon.store.content_cache import ContentCache
from daemon.store.staging import ContentFile, Kept, Staged, StagingFile, errors_named, remove_files

if TYPE_CHECKING:
    from obstore.store import S3Store

_PIECE = 8 << 20
"""What is put or fetched by one request, and is in memory at a time."""
_MOST_PIECES = 9_000  # S3 takes 10,000 pieces of a file
_AT_ONCE = 8
_SILENT = 5.0  # seconds for which a bucket that did not answer is not asked to read


class ContentBucket(ContentStore):
    """Hash-named objects, with copies of the newest on this machine."""

    def __init__(
        self, bucket: BucketConnection, folder: Path, limit: int, writer: str = ""
    ) -> None:
        """Create the folder for files of this machine, which take up to `limit` bytes there.

        Half-written files begin with `writer`. The bucket is not contacted yet. Raises StoreError.
        """
        self.place, self._bucket, self._writer = bucket.place, bucket, writer
        self._folder, self._temporary = folder, folder / "tmp"
        self._cache = ContentCache(folder, limit)
        self._fetching = {prefix: threading.Lock() for prefix in PREFIXES}
        self._silent_until = 0.0
        with errors_named(f"the content cache {folder} cannot be created"):
            make_folder(folder)
            make_folder(self._temporary)

    def begin(self) -> ContentFile:
        """Begin a file of this machine."""
        with self._errors_named():
            return ContentFile(self._new_file(), self._errors_named)

    def publish(self, staged: Sequence[Staged]) -> None:
        """Put the files into the bucket, several at a time, and keep them in the cache."""
        try:
            different = list({each.kept.sha256: each for each in staged}.values())
            if len(different) == 1:
                self._put(different[0])
            elif different:
                ends = [self._pool.submit(self._put, each) for each in different]
                wait(ends)
                for end in ends:
                    end.result()
            with self._errors_named():
                for each in different:
                    self._cache.take(each.kept.sha256, each.temporary).close()
        finally:
            self.discard(staged)

    def open(self, sha256: str, beat: Callable[[], None] = do_nothing) -> FileIO:
        """Open the file of the cache, which is fetched if it is not there."""
        return self._cached(sha256) or self._fetched(sha256, beat)

    @contextmanager
    def local_file(self, sha256: str) -> Iterator[Path]:
        """Yield the path in the cache, where the file stays until the block ends."""
        while True:
            with self._cache.held(sha256, self.open(sha256)) as path:
                if path:
                    yield path
                    return

    def beginning(self, sha256: str, size: int) -> bytes:
        """Read the cache, or that part of the object only."""
        file = self._cached(sha256)
        if file is None and self._size_of(sha256) > _PIECE:
            with self._asked(ContentUnavailable):
                return bytes(self._objects.get_range(_name(sha256), start=0, length=size))
        with file or self._fetched(sha256, do_nothing) as found:
            return found.read(size)

    def has(self, sha256: str) -> bool:
        """Ask the bucket."""
        try:
            self._size_of(sha256)
        except ContentUnavailable:
            raise
        except ContentMissing:
            return False
        return True

    def kept(self, prefix: str) -> set[str]:
        """List the bucket."""
        with self._asked(StorageUnreachable):
            pages = self._objects.list(f"{prefix}/")
            return {each["path"].rpartition("/")[2] for page in pages for each in page}

    def is_older(self, sha256: str, before: datetime) -> bool:
        """Compare with the time at which the bucket got the object."""
        facts = self._facts(sha256, StorageUnreachable)
        return facts is not None and facts["last_modified"] < before

    def remove(self, sha256: str, before: datetime) -> int:
        """Remove the object, and the copy in this machine's cache."""
        facts = self._facts(sha256, StorageUnreachable)
        if facts is None or facts["last_modified"] >= before:
            return 0
        with self._asked(StorageUnreachable):
            self._objects.delete(_name(sha256))
        with self._errors_named():
            self._cache.forget(sha256)
        return int(facts["size"])

    def fault(self, sha256: str) -> str:
        """Read the object piece by piece, past the cache. Raises StorageUnreachable."""
        found = hashlib.sha256()
        try:
            for piece in self._pieces(sha256):
                found.update(piece)
        except ContentUnavailable as error:
            raise StorageUnreachable(str(error)) from error
        except ContentMissing:
            return "missing"
        return "" if found.hexdigest() == sha256 else "damaged"

    def guarded(self, *, alone: bool) -> AbstractContextManager[bool]:
        """Lock a file in this machine's folder."""
        return guarded(self._folder, alone=alone)

    def remove_temporaries(self, writer: str = "") -> None:
        """Remove what is in this machine's folder for half-written files."""
        remove_files(self._temporary, writer)

    @cached_property
    def _objects(self) -> S3Store:
        return self._bucket.open(checksums=True)

    @cached_property
    def _pool(self) -> ThreadPool:
        return ThreadPool(_AT_ONCE, thread_name_prefix="put")

    def _errors_named(self) -> AbstractContextManager[None]:
        return errors_named(f"the content cache {self._folder} cannot be used")

    @contextmanager
    def _asked(
        self, kind: type[StorageUnreachable | ContentUnavailable], *passed: type[Exception]
    ) -> Iterator[None]:
        """Raise `kind` for any failure of the server or the network, but for those `passed`."""
        try:
            yield
        except passed:
            raise
        except bucket_failures() as error:
            self._silent_until = time.monotonic() + _SILENT
            raise kind(
                f"the content in {self.place} cannot be used: {self._words(error)}"
            ) from error

    def _words(self, error: Exception) -> str:
        return self._bucket.trouble(error)

    def _new_file(self) -> StagingFile:
        return StagingFile(self._temporary, 0, self._writer, early_sync=False)

    def _put(self, staged: Staged) -> None:
        """Put a file under its name, also over one that has other bytes."""
        file, kept = Path(staged.temporary), staged.kept
        with self._asked(StorageUnreachable):
            if kept.size <= _PIECE and self._put_new(_name(kept.sha256), file):
                return
        if not self._is_whole(kept):
            self._put_over(file, kept)

    def _put_over(self, file: Path, kept: Kept) -> None:
        """Put a file in pieces, if it is large, and over one that is there."""
        try:
            with self._asked(StorageUnreachable):
                self._objects.put(
                    _name(kept.sha256),
                    file,
                    use_multipart=kept.size > _PIECE,
                    chunk_size=max(_PIECE, kept.size // _MOST_PIECES),
                    max_concurrency=2,
                )
        except StorageUnreachable:
            # the server may take longer to join the pieces than it is waited for
            if not self._is_whole(kept):
                raise

    def _is_whole(self, kept: Kept) -> bool:
        """Whether the object has these bytes. It is read if its tag does not say so.

        The tag is the MD5 of what was put in one piece, unless the server encrypts it with a key of
        its own, for example.
        """
        facts = self._facts(kept.sha256, StorageUnreachable)
        if facts is None or facts["size"] != kept.size:
            return False
        return (facts["e_tag"] or "").strip('"') == kept.md5 or not self.fault(kept.sha256)

    def _put_new(self, name: str, file: Path) -> bool:
        from obstore.exceptions import AlreadyExistsError

        try:
            self._objects.put(name, file, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _cached(self, sha256: str) -> FileIO | None:
        with self._errors_named():
            return self._cache.open(sha256)

    def _fetched(self, sha256: str, beat: Callable[[], None]) -> FileIO:
        """Fetch the object into the cache, once for all threads, and open it there."""
        with self._fetching[sha256[:2]]:
            if found := self._cached(sha256):
                return found
            with self._errors_named():
                file = self._new_file()
            try:
                for piece in self._pieces(sha256):
                    beat()
                    with self._errors_named():
                        file.write(piece)
                with self._errors_named():
                    staged = file.end()
                    if staged.kept.sha256 == sha256:
                        return self._cache.take(sha256, staged.temporary)
            finally:
                file.discard()
        raise ContentMissing(
            f"the content {sha256} in {self.place} is damaged; restore an earlier version of the "
            "object, and the delivery continues"
        )

    def _pieces(self, sha256: str) -> Iterator[bytes]:
        """Yield the object's bytes, by one request for each piece, so that none takes too long."""
        size = self._size_of(sha256)
        for start in range(0, size, _PIECE):
            length = min(_PIECE, size - start)
            with self._asked(ContentUnavailable):
                piece = bytes(self._objects.get_range(_name(sha256), start=start, length=length))
            yield piece

    def _size_of(self, sha256: str) -> int:
        """Return the object's size. Raises ContentMissing and ContentUnavailable."""
        if time.monotonic() < self._silent_until:
            raise ContentUnavailable(f"{self.place} did not answer just now; it is asked again")
        facts = self._facts(sha256, ContentUnavailable)
        if facts is None:
            raise missing(sha256, self.place)
        return int(facts["size"])

    def _facts(
        self, sha256: str, kind: type[StorageUnreachable | ContentUnavailable]
    ) -> Any | None:
        """Return size and time of the object; None if it is not there. Raises `kind`."""
        with self._asked(kind, FileNotFoundError):
            try:
                return self._objects.head(_name(sha256))
            except FileNotFoundError:
                return None


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
