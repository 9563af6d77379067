"""The open folders of a drop on this machine.

Only the drop itself may be reached through a link.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from connectors.drops import shared_folder
from connectors.drops.drop import STAGING, TRIAL
from connectors.drops.ownership import Access
from connectors.drops.shared_folder import Unfit, closed_on_failure

_DROP = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # the configuration may name a link
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 20  # at what others, who remove the hidden folder while it is empty, may undo at once


class OpenFolders:
    """Descriptors of folders by their paths in the drop; the drop itself is `""`.

    For one thread. All methods raise OSError, and Unfit as `at` does.
    """

    def __init__(self, root: Path, access: Access) -> None:
        self._root = root
        self._access = access
        self._open: dict[str, int] = {}

    def at(self, path: str) -> int:
        """Return the folder's descriptor, which stays open until `let_go`.

        Raises Unfit if it is not a folder, or should be ours and is not.
        """
        if path not in self._open:
            self._open[path] = self._opened(path)
        return self._open[path]

    def place(self, path: str) -> tuple[int, str]:
        """Return the descriptor of the folder that something is in, and its name there."""
        folder, _, name = path.rpartition("/")
        return self.at(folder), name

    def let_go(self, path: str) -> None:
        """Close a folder, because something else may get its name."""
        if path in self._open:
            os.close(self._open.pop(path))

    def let_go_of_all(self, but: Collection[str] = ()) -> None:
        """Close all folders."""
        for path in [path for path in self._open if path not in but]:
            self.let_go(path)

    def make(self, folder: str) -> Iterator[str]:
        """Make the folder, and missing folders above it, but never the drop itself.

        Yields the folders in which one was made. One that is open is used, whatever has its name by
        now: what belongs together must not be in two folders.
        """
        if not folder or folder in self._open:
            return
        above = folder.rpartition("/")[0]
        for _ in range(_TRIES):
            try:
                self._make(folder)
            except FileExistsError:
                return
            except FileNotFoundError:
                if not above:
                    raise
                # another destination in the same drop, or another process, may have removed it
                # while it was empty
                self.let_go(above)
                yield from self.make(above)
            else:
                self.let_go(folder)
                if self._is_handed_over(folder):
                    yield above
                    return
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)

    def create(self, path: str) -> int:
        """Make a new file and return its descriptor, for writing."""
        descriptor = self._created(path)
        try:
            self._access.hand_over_file(descriptor, str(self._root))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _opened(self, path: str) -> int:
        if not path:
            return os.open(self._root, _DROP)
        above, name = self.place(path)
        try:
            descriptor = shared_folder.open_folder(name, above)
            with closed_on_failure(descriptor):
                if path == STAGING:
                    self._must_be_ours(os.fstat(descriptor).st_uid)
        except Unfit as unfit:
            raise Unfit(unfit.what, path) from unfit
        return descriptor

    def _must_be_ours(self, owner: int) -> None:
        """Raise Unfit if another user owns the hidden folder, who could change unfinished letters.

        On a share without owners everything appears to belong to the same user, whatever made it.
        """
        if (
            owner not in {os.geteuid(), 0, self._access.owner}
            and owner != self._owner_of_what_is_new()
        ):
            raise Unfit(f"a folder of another user (user {owner})")

    def _owner_of_what_is_new(self) -> int:
        name = f"{TRIAL}{uuid4()}"
        descriptor = os.open(name, _NEW, 0o600, dir_fd=self.at(""))
        try:
            return os.fstat(descriptor).st_uid
        finally:
            os.close(descriptor)
            os.unlink(name, dir_fd=self.at(""))

    def _make(self, folder: str) -> None:
        above, name = self.place(folder)
        os.mkdir(
            name,
            self._access.hidden_mode if folder == STAGING else self._access.folder_mode,
            dir_fd=above,
        )

    def _created(self, path: str) -> int:
        folder = path.rpartition("/")[0]
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # as above
                return self._create(path)
            self.let_go(folder)
            for _ in self.make(folder):
                pass
        return self._create(path)

    def _create(self, path: str) -> int:
        folder, name = self.place(path)
        return os.open(name, _NEW, self._access.mode, dir_fd=folder)

    def _is_handed_over(self, folder: str) -> bool:
        """Whether it could be, because it was still there."""
        with suppress(FileNotFoundError):
            self._hand_over(folder)
            return True
        return False

    def _hand_over(self, folder: str) -> None:
        if folder == STAGING:
            self._access.close_to_others(self.at(folder))
        else:
            self._access.hand_over_folder(self.at(folder), str(self._root))
