"""Whether this process may use the store as the service does.

Asked by `check`, and at each start.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from daemon.config.loader import StoreSettings
from daemon.core.access import user, why_not_written
from daemon.core.errors import StoreError
from daemon.core.ports import Finding
from daemon.runtime.owner import nearest_folder, user_name
from daemon.store.content import PREFIXES
from daemon.store.sqlite_file import BESIDE


def refuse_closed_store(store: StoreSettings) -> None:
    """Raise StoreError, with the remedy, if database or content cannot be written."""
    for fault in (*_database_faults(store.database_path), *_content_faults(store.content)):
        raise StoreError(fault)


def check_store(store: StoreSettings) -> Iterator[Finding]:
    """Report whether database and content can be written; leave nothing behind."""
    for subject, path, faults in (
        ("database", store.database_path, list(_database_faults(store.database_path))),
        ("content", store.content, list(_content_faults(store.content))),
    ):
        text = "; ".join(faults) or f"{path} can be written by {user()}{_new(path)}"
        yield Finding(subject=subject, ok=not faults, text=text)


def _new(path: Path) -> str:
    return "" if path.exists() else ", and is created at the first start"


def _database_faults(database: Path) -> Iterator[str]:
    folder = nearest_folder(database.parent)
    if fault := _folder_fault("database", folder):
        yield fault
        return
    others = [database.with_name(database.name + end) for end in (*BESIDE, ".lock")]
    yield from filter(None, (_file_fault(each) for each in others))


def _content_faults(content: Path) -> Iterator[str]:
    if fault := _folder_fault("content", nearest_folder(content)):
        yield fault
        return
    inner = (content / "tmp", *(content / prefix for prefix in PREFIXES))
    closed = [each for each in inner if each.is_dir() and not os.access(each, os.W_OK | os.X_OK)]
    if closed:
        yield _foreign(closed[0], content)
    elif fault := _file_fault(content / "removal.lock"):
        yield fault


def _folder_fault(what: str, folder: Path) -> str:
    """Ask the system, and try nothing out: a trial would leave a file when it is killed."""
    if os.access(folder, os.W_OK | os.X_OK):
        return ""
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    reason = why_not_written(folder, errno.EROFS if read_only else errno.EACCES)
    return f"the folder of the {what}, {folder}, {reason}"


def _file_fault(path: Path) -> str:
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return _foreign(path, path)
    return ""


def _foreign(path: Path, whole: Path) -> str:
    """Describe a file in a folder that may be written, which another user has left there."""
    remedy = f"run: chown -R --reference={whole.parent} {whole}"
    return (
        f"{path} belongs to {user_name(path.stat().st_uid)}, and {user()} may not write it; "
        f"{remedy}"
    )
