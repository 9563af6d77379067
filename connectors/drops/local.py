"""A drop in a folder of this machine, or on a share that is mounted here.

Others may write to it too, so it is accessed as connectors/drops/shared_folder.py describes: below
the drop no link is followed, no pipe is opened, and what does not fit is left as it is, with an
error that names it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from connectors.drops import shared_folder
from connectors.drops.drop import STAGING, Seen, unfit
from connectors.drops.open_folders import OpenFolders
from connectors.drops.ownership import Access
from connectors.drops.shared_folder import TAKEN, Unfit, rename_new
from daemon.core.access import why_not_written
from daemon.core.batch_sync import BatchSync, sync_one
from daemon.core.durable_files import write_all
from daemon.core.errors import TemporaryFailure

_CHUNK = 1 << 20
_OPEN_AT_MOST = (
    6  # files of one letter that are written and not yet synced; there may be many letters
)
_NOT_THERE = (FileNotFoundError, NotADirectoryError)
_EARLY_FROM = 1 << 20  # bytes of a file for which the disk should not wait until the sync
REMEDIES = {
    errno.ENOTDIR: "is not a folder; name one in path",
    errno.ENOSPC: "has no space left; make room on its disk",
    errno.EDQUOT: "has used up its quota; make room, or raise the quota",
}
"""The remedy for an error of the operating system, as the end of a sentence about the drop's
folder.

Errors that depend on who asks are in `daemon.core.access`.
"""


class LocalDrop:
    """A Drop in the folder `root`, which is never created: it may be an unmounted share."""

    def __init__(self, root: Path, access: Access, batch_sync: BatchSync | None = None) -> None:
        self.place = str(root)
        self._batch_sync = batch_sync or BatchSync()
        self._folders = OpenFolders(root, access)
        self._written: list[int] = []
        """Open files that are not synced yet."""
        self._changed: set[str] = set()
        """Folders that are not synced yet."""
        self._made: Counter[str] = Counter()
        """How many files were written into each folder that is not published yet."""

    def look(self, path: str) -> Seen | None:
        """Return what has this name."""
        with self._plain_words(path):
            above, _, name = path.rpartition("/")
            folder = self._folder_if_there(above)
            found = None if folder is None else shared_folder.look(name, folder)
        return None if found is None else _seen(found)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        with self._plain_words(folder):
            there = self._folder_if_there(folder)
            # a Path has no descriptor
            return [] if there is None else os.listdir(there)  # noqa: PTH208

    def read(self, path: str, *, sole: bool = False) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        with self._plain_words(path, FileNotFoundError):
            above, _, name = path.rpartition("/")
            folder = self._folder_if_there(above)
            if folder is None:
                raise FileNotFoundError(path)
            try:
                descriptor = shared_folder.open_file(name, folder, sole=sole)
            except PermissionError as error:
                raise TemporaryFailure(
                    f"{path} in the drop folder {self.place} may not be read; give the "
                    "service's user the right to"
                ) from error
            with os.fdopen(descriptor, "rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write new files.

        The disk starts on the first file while the next are written. If one fails, none of them is
        synced.
        """
        changed: set[str] = set()
        written: list[int] = []
        with self._plain_words(STAGING), _closed(written):
            for path, chunks in files:
                folder = path.rpartition("/")[0]
                if folder not in changed:
                    changed |= {folder, *self._folders.make(folder)}
                if len(written) == _OPEN_AT_MOST:
                    _sync_all(
                        written
                    )  # and no others: if one of these fails, it is this letter's failure
                written.append(self._folders.create(path))
                self._made[folder] += 1
                size = 0
                for chunk in chunks:
                    write_all(written[-1], chunk)
                    size += len(chunk)
                if size >= _EARLY_FROM:
                    _have_written(written[-1])
            self._written += written
            written.clear()
            self._changed |= changed

    def publish(self, source: str, target: str) -> bool:
        """Rename, unless the name is taken."""
        made = self._made.pop(source, 0)
        with self._plain_words(STAGING, FileNotFoundError):
            (source_folder, old), (target_folder, new) = (
                self._folders.place(source),
                self._folders.place(target),
            )
            # a Path has no descriptor
            if made and len(os.listdir(self._folders.at(source))) < made:  # noqa: PTH208
                raise FileNotFoundError(source)
            published = rename_new(old, new, source_folder, target_folder)
            self._folders.let_go(source)
        self._changed.add(target.rpartition("/")[0])
        return published

    def replace(self, source: str, target: str) -> None:
        """Rename over another file."""
        with self._plain_words(STAGING):
            (source_folder, old), (target_folder, new) = (
                self._folders.place(source),
                self._folders.place(target),
            )
            os.replace(old, new, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        self._changed.add(target.rpartition("/")[0])

    def sync(self) -> None:
        """Sync each file, then each changed folder, innermost first, and the drop itself.

        Or the whole file system, if that is as good and they are many. The drop is synced for what
        an earlier process left unsynced.
        """
        changed, self._changed = {"", *self._changed}, set()
        written, self._written = self._written, []
        try:
            with self._plain_words(STAGING), _closed(written):
                folders = [self._folders.at(each) for each in sorted(changed, reverse=True)]
                self._batch_sync.sync(self._folders.at(""), [*written, *folders])
        finally:
            self._folders.let_go_of_all(but=("", STAGING))

    def close(self) -> None:
        """Discard what was written and not synced, and close the drop.

        It is opened again if it is used again.
        """
        self._folders.let_go_of_all()
        with _closed(self._written):
            self._written = []

    def remove(self, path: str, *, lasting: bool = True) -> None:
        """Remove a file or a folder.

        A folder is renamed first, so that a half-removed one is never published.
        """
        self._folders.let_go(path)
        self._made.pop(path, None)
        with self._plain_words(path):
            try:
                folder, name = self._folders.place(path)
            except _NOT_THERE:
                return
            try:
                os.unlink(name, dir_fd=folder)
            except (FileNotFoundError, IsADirectoryError):
                _remove_folder(name, folder)
            if lasting:
                sync_one(folder)

    def tidy(self, folder: str) -> None:
        """Remove an empty folder."""
        self._folders.let_go(folder)
        with self._plain_words(folder), suppress(*_NOT_THERE):
            above, name = self._folders.place(folder)
            try:
                os.rmdir(name, dir_fd=above)
            except OSError as error:
                if error.errno not in TAKEN:
                    raise

    def _folder_if_there(self, path: str) -> int | None:
        """Return a folder's descriptor, or None if nothing, or something else, has its name.

        Raises Unfit if something else has the name of our own folder.
        """
        try:
            return self._folders.at(path)
        except _NOT_THERE:
            return None
        except Unfit as error:
            if error.path == STAGING:
                raise
            return None

    def _plain_words(self, path: str, *passed: type[OSError]) -> _PlainWords:
        return _PlainWords(self.place, path, passed)


class _PlainWords:
    """Raises TemporaryFailure for an error of the operating system, or an unfit `path`.

    A class, because each letter needs it a dozen times, and a generator costs four times as much.
    """

    def __init__(self, place: str, path: str, passed: tuple[type[OSError], ...]) -> None:
        self._place, self._path, self._passed = place, path, passed

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raise the failure in the place of what was raised."""
        if isinstance(error, Unfit):
            raise unfit(self._place, error.path or self._path, error.what) from error
        if isinstance(error, OSError) and not isinstance(error, self._passed):
            unusual = (
                f"cannot be used ({error.strerror or type(error).__name__}); check its disk or "
                "share"
            )
            number = error.errno or 0
            reason = why_not_written(Path(self._place), number) or REMEDIES.get(number, unusual)
            raise TemporaryFailure(f"the drop folder {self._place} {reason}") from error


def _seen(found: os.stat_result) -> Seen:
    if stat.S_ISDIR(found.st_mode):
        return Seen(size=None)
    return Seen(
        size=found.st_size,
        odd="" if stat.S_ISREG(found.st_mode) else shared_folder.kind(found.st_mode),
    )


def _remove_folder(name: str, above: int) -> None:
    """Remove a folder by way of another name, and what is left there of an earlier time."""
    doomed = f"{name}.old"
    for each in (doomed, name):
        try:
            os.unlink(each, dir_fd=above)
        except FileNotFoundError:
            continue
        except IsADirectoryError:
            os.replace(each, doomed, src_dir_fd=above, dst_dir_fd=above)
            shared_folder.remove_tree(doomed, above)


def _have_written(descriptor: int) -> None:
    """Start writing the file to disk without waiting: Linux does so on POSIX_FADV_DONTNEED."""
    with suppress(OSError):  # a hint, which not every file system takes
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync_all(descriptors: list[int]) -> None:
    """Sync and close the files. Those that failed stay in the list."""
    for each in descriptors:
        sync_one(each)
    while descriptors:
        os.close(descriptors.pop())


@contextmanager
def _closed(descriptors: list[int]) -> Iterator[None]:
    """Close the descriptors in the list when the block has ended."""
    try:
        yield
    finally:
        for each in descriptors:
            os.close(each)
