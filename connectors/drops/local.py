"""A drop in a folder of this machine, or on a share that is mounted here."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from connectors.drops.drop import Seen
from daemon.durable import sync, write_all
from daemon.errors import TemporaryFailure

_CHUNK = 1 << 20
_OPEN_AT_MOST = 6  # files of one letter that are written and not yet synced; there may be many letters
_NOT_THERE = (FileNotFoundError, NotADirectoryError)
_NO_SUCH_CALL = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # linux/fcntl.h, linux/fs.h
REMEDIES = {
    errno.ENOENT: "is not there; make the folder, or mount the share",
    errno.ENOTDIR: "is no folder; name one in path",
    errno.EACCES: "may not be written; give the service's user the right to",
    errno.EPERM: "may not be written; give the service's user the right to",
    errno.EROFS: "can only be read; mount it for writing",
    errno.ENOSPC: "has no room left; make room on its disk",
    errno.EDQUOT: "has no room left in its quota; make room, or raise the quota",
}
"""What to do about an error of the operating system, as the end of a sentence about the drop's folder."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Whose files are, and who may do what with them. None leaves the owner or the group as the system sets it."""

    mode: int = 0o640
    owner: int | None = None
    group: int | None = None

    @property
    def folder_mode(self) -> int:
        """The mode of a folder: whoever may read its files may enter it, and its owner may always work in it."""
        return self.mode | (self.mode & 0o444) >> 2 | stat.S_IWUSR | stat.S_IXUSR


class LocalDrop:
    """A Drop in the folder `root`, which is never made here: it may be on a share that comes and goes."""

    def __init__(self, root: Path, access: Access) -> None:
        self.place = str(root)
        self._root = root
        self._access = access
        self._written: list[int] = []
        """Files, open, that are not synced yet."""
        self._changed: set[str] = set()
        """Folders that are not."""

    def _at(self, path: str) -> str:
        return f"{self.place}/{path}"

    def look(self, path: str) -> Seen | None:
        """What lies there."""
        with self._plain_words():
            try:
                found = os.lstat(self._at(path))
            except _NOT_THERE:
                return None
        return Seen(size=None if stat.S_ISDIR(found.st_mode) else found.st_size)

    def names(self, folder: str) -> list[str]:
        """The names in a folder."""
        with self._plain_words():
            try:
                return os.listdir(self._at(folder))  # noqa: PTH208  # a Path for each name costs more than the call
            except _NOT_THERE:
                return []

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a file."""
        with self._plain_words(FileNotFoundError):
            try:
                descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW)
            except _NOT_THERE as error:
                raise FileNotFoundError(path) from error
            with os.fdopen(descriptor, "rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk

    def write(self, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
        """Write new files. The disk begins with the first while the next are written; if one fails, none of them is synced."""
        changed: set[str] = set()
        written: list[int] = []
        with self._plain_words(), _closed(written):
            for path, chunks in files:
                folder = path.rpartition("/")[0]
                if folder not in changed:
                    changed |= {folder, *self._make_folder(folder)}
                if len(written) == _OPEN_AT_MOST:
                    _sync_all(written)  # and no others: if one of these fails, it is this letter's failure
                written.append(self._create(path))
                for chunk in chunks:
                    write_all(written[-1], chunk)
                _have_written(written[-1])
            self._written += written
            written.clear()
            self._changed |= changed

    def publish(self, source: str, target: str) -> bool:
        """Rename, unless the name is taken."""
        with self._plain_words():
            published = rename_new(self._at(source), self._at(target))
        self._changed.add(target.rpartition("/")[0])
        return published

    def replace(self, source: str, target: str) -> None:
        """Rename over another file."""
        with self._plain_words():
            (self._root / source).replace(self._root / target)
        self._changed.add(target.rpartition("/")[0])

    def sync(self) -> None:
        """Sync each file, then every folder that got something new, the innermost first, and the drop, for an earlier process."""
        changed, self._changed = {"", *self._changed}, set()
        written, self._written = self._written, []
        with self._plain_words(), _closed(written):
            _sync_all(written)
            for each in sorted(changed, reverse=True):
                sync(self._at(each))

    def close(self) -> None:
        """Let go of what was written and not synced."""
        with _closed(self._written):
            self._written = []

    def remove(self, path: str, *, lasting: bool = True) -> None:
        """Remove a file or a folder. A folder gets another name first, so that nobody publishes it while it is half gone."""
        place = self._at(path)
        doomed = f"{place}.old"
        with self._plain_words():
            for each in (doomed, place):
                try:
                    os.unlink(each)  # noqa: PTH108  # a Path costs more than the call
                except _NOT_THERE:
                    continue
                except IsADirectoryError:
                    Path(each).replace(doomed)
                    shutil.rmtree(doomed)
                if lasting:
                    sync(self._at(path.rpartition("/")[0]))

    def tidy(self, folder: str) -> None:
        """Remove an empty folder."""
        with self._plain_words(), suppress(FileNotFoundError, NotADirectoryError):
            try:
                (self._root / folder).rmdir()
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise

    def _make_folder(self, folder: str) -> Iterator[str]:
        """Make the folder, and those above it if they are missing, but never the drop itself; the folders in which one was made."""
        if not folder:
            return
        above, place = folder.rpartition("/")[0], self._at(folder)
        try:
            try:
                os.mkdir(place, self._access.folder_mode)  # noqa: PTH102  # a Path costs more than the call
            except FileNotFoundError:
                yield from self._make_folder(above)
                os.mkdir(place, self._access.folder_mode)  # noqa: PTH102  # likewise
        except FileExistsError:
            return
        self._hand_over(place, self._access.folder_mode | os.stat(place).st_mode & stat.S_ISGID)  # noqa: PTH116  # likewise
        yield above

    def _create(self, path: str) -> int:
        """Make a new file; its descriptor, for writing."""
        descriptor = os.open(self._at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._access.mode)
        try:
            self._hand_over(descriptor, self._access.mode)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _hand_over(self, file: str | int, mode: int) -> None:
        """Give a new file or folder its owner, group and mode."""
        owner, group = self._access.owner, self._access.group
        if (owner, group) != (None, None):
            try:
                os.chown(file, -1 if owner is None else owner, -1 if group is None else group)
            except PermissionError as error:
                raise TemporaryFailure(
                    f"files in the drop folder {self.place} may not be given to the owner or group of the configuration; "
                    "run the service with the right to (CAP_CHOWN), or leave owner and group out"
                ) from error
        os.chmod(file, mode)  # noqa: PTH101  # by descriptor, for a file

    @contextmanager
    def _plain_words(self, *passed: type[OSError]) -> Iterator[None]:
        try:
            yield
        except passed:
            raise
        except OSError as error:
            unusual = f"cannot be used ({error.strerror or type(error).__name__}); look at its disk or share"
            raise TemporaryFailure(f"the drop folder {self.place} {REMEDIES.get(error.errno or 0, unusual)}") from error


def _have_written(descriptor: int) -> None:
    """Have the disk begin with the file, without waiting for it: Linux does so when it is told that nobody will read it again."""
    with suppress(OSError):  # a hint, which not every file system takes
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sync_all(descriptors: list[int]) -> None:
    """Sync the files, and close them; those are left in the list that were not."""
    for each in descriptors:
        os.fsync(each)
    while descriptors:
        os.close(descriptors.pop())


@contextmanager
def _closed(descriptors: list[int]) -> Iterator[None]:
    """Close what is in the list when the block has ended."""
    try:
        yield
    finally:
        for each in descriptors:
            os.close(each)


def rename_new(source: str, target: str) -> bool:
    """Rename in one step, never over something else; False if the name is taken.

    Linux has a call for that, which some network file systems do not know: there a look comes first, which is enough as long as nobody
    but Postmottak makes such names.
    """
    call = _renameat2()
    number = errno.ENOSYS
    if call is not None:
        if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return True
        number = ctypes.get_errno()
    if number in _NO_SUCH_CALL:
        return not os.path.lexists(target) and _rename(source, target)
    if number in _TAKEN and os.path.lexists(target):
        return False
    raise OSError(number, os.strerror(number))


def _rename(source: str, target: str) -> bool:
    try:
        Path(source).rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


@cache
def _renameat2() -> Any:
    """The C library's renameat2, or None where it has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
