"""Whether this process may use the store as the service does.

Asked by `check`, and at each start.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from daemon.config.store import StoreSettings
from daemon.core.access import user, why_not_written
from daemon.core.errors import StoreError
from daemon.core.ports import Finding
from daemon.core.unit_lines import shell
from daemon.runtime.owner import nearest_folder, user_name
from daemon.store.content import PREFIXES
from daemon.store.content_place import bucket_of
from daemon.store.lock import InstanceLock
from daemon.store.migrations import HEAD
from daemon.store.postgresql_server import server_facts
from daemon.store.sqlite_file import BESIDE
from daemon.store.why_closed import why_closed


def refuse_closed_store(store: StoreSettings) -> None:
    """Raise StoreError, with the remedy, if database or content cannot be written."""
    for _, _, faults in _judged(store):
        for fault in faults:
            raise StoreError(fault)


def refuse_hidden_store(store: StoreSettings) -> None:
    """Raise StoreError, with the remedy, if this user may not enter the database's folder."""
    folder = nearest_folder(store.beside.parent)
    if not os.access(folder, os.X_OK):
        raise StoreError(_folder_fault("database", folder, store.beside))


def check_store(store: StoreSettings) -> Iterator[Finding]:
    """Report whether database and content can be written; leave nothing behind."""
    if not store.is_file:
        yield _server(store)
    if reason := why_closed(store):
        yield Finding(subject="database", ok=False, text=reason)
    for subject, path, found in _judged(store):
        faults = list(found)
        text = "; ".join(faults) or f"{path} can be written by {user()}{_new(path)}"
        yield Finding(subject=subject, ok=not faults, text=text)


def store_exists(store: StoreSettings) -> bool:
    """Whether the database has been made. Raises StoreError if a server does not say."""
    if store.is_file:
        return store.beside.exists()
    return server_facts(store.database, store.password).has_tables


def lock_of(store: StoreSettings, holder: str = "") -> InstanceLock:
    """Take the lock of the store on this machine. Raises StoreError, as InstanceLock does."""
    # a folder that other machines share is not this one's alone
    own = (
        None if store.is_shared and store.content_folder == store.content else store.content_folder
    )
    lock = InstanceLock(store.beside, own, is_file=store.is_file)
    if holder:
        lock.write_holder(holder)
    return lock


def _server(store: StoreSettings) -> Finding:
    try:
        found = server_facts(store.database, store.password)
    except StoreError as error:
        return Finding(subject="database", ok=False, text=str(error))
    text = f"{found.database} on PostgreSQL {found.version}, as {found.user}"
    if not found.takes_writes:
        return Finding(
            subject="database",
            ok=False,
            text=f"{text}; takes no writes: it is a standby, or default_transaction_read_only is "
            "on; name every server in [store] database, without target_session_attrs",
        )
    if not (found.has_tables or found.can_create):
        return Finding(
            subject="database",
            ok=False,
            text=f"{text}, who may not create tables; run `postmottak db upgrade --user NAME`, "
            f"with the name of one who may, or there: ALTER DATABASE {found.database} "
            f"OWNER TO {found.user}",
        )
    if found.has_tables and (found.tables or "") < HEAD and not found.owns_tables:
        return Finding(
            subject="database",
            ok=False,
            text=f"{text}, who may not use its tables, or not bring them up to date; run "
            "`postmottak db upgrade --user NAME`, with the name of their owner",
        )
    if not found.is_durable:
        lost = "a power cut can lose letters that count as stored; set fsync and synchronous_commit"
        return Finding(subject="database", ok=True, warning=True, text=f"{text}; {lost}")
    return Finding(
        subject="database",
        ok=True,
        text=text if found.has_tables else f"{text}; its tables are created at the first start",
    )


def check_bucket(store: StoreSettings) -> Iterator[Finding]:
    """Report whether the bucket for content, if there is one, answers; write nothing to it."""
    if bucket := bucket_of(store):
        fault = bucket.fault()
        yield Finding(
            subject="content",
            ok=not fault,
            text=fault
            or f"{bucket.place} can be listed; whether it can be written shows with the "
            "first letter",
        )


def _judged(store: StoreSettings) -> Iterator[tuple[str, Path, Iterator[str]]]:
    """Yield the store's parts with their faults, each looked for when it is asked for.

    Content in a folder that may not be entered is left out: the database's fault says it all.
    """
    what = "database" if store.is_file else "own files"
    yield what, store.beside, _database_faults(what, store.beside)
    closed = nearest_folder(store.beside.parent)
    if os.access(closed, os.X_OK) or nearest_folder(store.content_folder) != closed:
        yield "content", store.content_folder, _content_faults(store.content_folder)


def _new(path: Path) -> str:
    return "" if _exists(path) else ", and is created at the first start"


def _exists(path: Path) -> bool:
    """Whether it can be seen; Path.exists raises PermissionError before Python 3.14."""
    return os.path.exists(path)  # noqa: PTH110


def _database_faults(what: str, database: Path) -> Iterator[str]:
    folder = nearest_folder(database.parent)
    if fault := _folder_fault(what, folder, database):
        yield fault
        return
    others = [database.with_name(database.name + end) for end in (*BESIDE, ".lock")]
    yield from filter(None, (_file_fault(each) for each in others))


def _content_faults(content: Path) -> Iterator[str]:
    if fault := _folder_fault("content", nearest_folder(content), content / PREFIXES[0]):
        yield fault
        return
    inner = (content / "tmp", *(content / prefix for prefix in PREFIXES))
    closed = [each for each in inner if _exists(each) and not os.access(each, os.W_OK | os.X_OK)]
    if closed:
        yield _foreign(closed[0], content)
    elif fault := _file_fault(content / "removal.lock"):
        yield fault


def _folder_fault(what: str, folder: Path, inside: Path) -> str:
    """Ask the system, and try nothing out: a trial would leave a file when it is killed.

    Where `inside` is there already, or cannot be seen, it is another user's store, whose files stay
    closed when the folder is opened.
    """
    if os.access(folder, os.W_OK | os.X_OK):
        return ""
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    owner = folder.stat().st_uid
    others = owner not in {0, os.geteuid()} and (_exists(inside) or not os.access(folder, os.X_OK))
    if others and not read_only:
        name = user_name(owner)
        return (
            f"the folder of the {what}, {folder}, belongs to {name}, and {user()} may not use it; "
            f"run this as root or as {name}"
        )
    reason = why_not_written(folder, errno.EROFS if read_only else errno.EACCES)
    return f"the folder of the {what}, {folder}, {reason}"


def _file_fault(path: Path) -> str:
    if _exists(path) and not os.access(path, os.R_OK | os.W_OK):
        return _foreign(path, path)
    return ""


def _foreign(path: Path, whole: Path) -> str:
    """Describe a file in a folder that may be written, which another user has left there."""
    remedy = f"run: chown -R --reference={shell(whole.parent)} {shell(whole)}"
    return (
        f"{path} belongs to {user_name(path.stat().st_uid)}, and {user()} may not write it; "
        f"{remedy}"
    )
