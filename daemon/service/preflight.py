"""What the machine around must be like: local file systems under the store, and secrets that not everybody can read."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from daemon.config.loader import Configuration, StoreSettings
from daemon.core.errors import Fault, StoreError
from daemon.core.mounts import MOUNTS, mount_of
from daemon.core.settings import Secret

_MOUNTS = MOUNTS
_SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs"}
)


def refuse_shared_file_systems(store: StoreSettings) -> None:
    """Raise StoreError if database or content lies on a file system of another machine.

    Locks and fsync do not hold there: two processes could work with one database, and a letter
    could be called kept that is not. A machine that does not tell its mounts is taken at its word.
    """
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for what, path in (("database", store.database_path), ("content", store.content)):
        if kind := shared_file_system(mounts, path.resolve()):
            raise StoreError(
                f"the {what} {path} lies on a file system of type {kind}, which other "
                "machines share; keep it on a local disk"
            )


def shared_file_system(mounts: str, path: Path) -> str | None:
    """The type of the file system that holds `path`, if other machines share it.

    `mounts` is the text of /proc/self/mountinfo.
    """
    found = mount_of(path, mounts)
    return found.kind if found and found.kind in _SHARED else None


def readable_secrets(configuration: Configuration) -> list[Fault]:
    """The secret files that every user of this machine can read, each as a warning."""
    sections: list[BaseModel | None] = [
        each.settings for each in (*configuration.mailboxes, *configuration.destinations)
    ]
    paths = dict.fromkeys(
        secret.path
        for section in (*sections, configuration.api)
        if section
        for secret in _secrets(section)
    )
    return [
        Fault(
            file=str(path),
            key="",
            problem="every user of this machine can read this secret",
            remedy=f"Run: chmod o-rwx {path}",
        )
        for path in paths
        if _is_open(path)
    ]


def _secrets(section: BaseModel) -> Iterator[Secret]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        each: Iterable[object] = value if isinstance(value, tuple | list) else (value,)
        yield from (one for one in each if isinstance(one, Secret))


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
