"""The preflight: a local file system under the store, and secrets that not every user can read."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel

from daemon.config.loader import Configuration
from daemon.config.store import StoreSettings
from daemon.core.errors import Fault, StoreError
from daemon.core.mounts import MOUNTS, mount_of
from daemon.core.settings import Secret
from daemon.core.unit_lines import shell
from daemon.store.journal.key import key_path

_MOUNTS = MOUNTS
_SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "fuse.sshfs", "fuse.glusterfs"}
)
_RELIABLE = frozenset({"nfs4", "ceph"})
_UNRELIABLE = frozenset({"soft", "softerr"})  # nfs(5)


def refuse_shared_file_systems(store: StoreSettings) -> None:
    """Raise StoreError if database or content lies on a file system of another machine.

    Locks and fsync are not reliable there: two processes could use one database, and a letter could
    count as stored that is not. Content of several nodes, whose database says who does what, may be
    on one that keeps what it has acknowledged and shows all of them the same. On a machine that
    does not list its mounts, nothing is refused.
    """
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if store.is_file:
        _refuse_shared("database", store.beside, mounts)
    else:
        _refuse_shared("folder of own files", store.beside.parent, mounts, "; name it in own_files")
    if store.is_shared and isinstance(store.content, Path):
        _refuse_unreliable(store.content, mounts)
    else:
        cached = store.content_folder != store.content
        _refuse_shared("content cache" if cached else "content", store.content_folder, mounts)


def _refuse_shared(what: str, path: Path, mounts: str, remedy: str = "") -> None:
    if kind := shared_file_system(mounts, path.resolve()):
        raise StoreError(
            f"the {what} {path} lies on a file system of type {kind}, which other "
            f"machines share; keep it on a local disk{remedy}"
        )


def _refuse_unreliable(content: Path, mounts: str) -> None:
    """Raise StoreError for a shared file system on which nodes cannot rely."""
    found = mount_of(content.resolve(), mounts)
    if found is None or found.kind not in _SHARED:
        return
    remedy = "use NFS 4 or CephFS, mounted `hard`, or a bucket"
    if found.kind not in _RELIABLE:
        raise StoreError(
            f"the content {content} lies on a file system of type {found.kind}, on which nodes "
            f"cannot rely; {remedy}"
        )
    if wrong := sorted(found.options & _UNRELIABLE):
        raise StoreError(
            f"the content {content} lies on {found.kind} that is mounted `{wrong[0]}`, which loses "
            f"what was written when the server is away; {remedy}"
        )


def shared_file_system(mounts: str, path: Path) -> str | None:
    """Return the type of the file system that holds `path`, if other machines share it, else None.

    `mounts` is the text of /proc/self/mountinfo. Source of the format: proc(5). A later mount hides
    an earlier one at the same place.
    """
    found = mount_of(path, mounts)
    return found.kind if found and found.kind in _SHARED else None


def readable_secrets(configuration: Configuration) -> list[Fault]:
    """Return a warning for each secret file that every user of this machine can read."""
    sections: list[BaseModel | None] = [
        each.settings for each in (*configuration.mailboxes, *configuration.destinations)
    ]
    paths = dict.fromkeys(
        secret.path
        for section in (
            *sections,
            configuration.store,
            configuration.store.s3,
            configuration.api,
            configuration.events,
        )
        if section
        for secret in _secrets(section)
    )
    return [
        Fault(
            file=str(path),
            key="",
            problem="every user of this machine can read this secret",
            remedy=f"Run: chmod o-rwx {shell(path)}",
        )
        for path in (*paths, key_path(configuration.store.beside))
        if _is_open(path)
    ]


def _secrets(section: BaseModel) -> Iterator[Secret]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        each: Iterable[object] = value if isinstance(value, tuple | list) else (value,)
        yield from (one for one in each if isinstance(one, Secret))


def _is_open(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IROTH) and not stat.S_ISDIR(mode)
