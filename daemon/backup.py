"""The store as a folder that stands by itself, and back: the database as it was at one moment, and the bytes that it names.

    FOLDER/postmottak.db     a copy by SQLite's own means
    FOLDER/content/          the attachments' bytes; hard links where the file system allows it
    FOLDER/backup.json       written last: a folder without it is no backup

After a restore the ids of letters and deliveries are the same, for they are derived; so what is repeated is recognisable as a repeat.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from daemon.content import PREFIXES, ContentStore
from daemon.errors import OperatorError, StoreError
from daemon.soundness import Soundness, check_store
from daemon.store import Store
from daemon.store.sqlitefile import copy_database, damage

_DATABASE, _CONTENT, _MANIFEST = "postmottak.db", "content", "backup.json"
_BESIDE = ("", "-journal", "-wal", "-shm")  # SQLite would take another database's journal for this one's
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a backup holds."""

    made_at: str
    messages: int
    files: int
    faults: tuple[str, ...] = ()
    """Bytes that were missing or damaged in the store already."""


def make_backup(database: Path, content: ContentStore, folder: Path, now: datetime) -> Backup:
    """Write a backup to a folder that is new or empty, durably, and check it. Raises OperatorError or StoreError; then nothing is left.

    May be called beside a running service.
    """
    _make_empty(folder)
    try:
        with content.guarded(alone=False):
            return _make(database, content, folder, now)
    except OSError as error:
        _clear(folder)
        raise StoreError(f"the backup {folder} cannot be written: {error.strerror}") from error
    except BaseException:
        _clear(folder)
        raise


def _make(database: Path, content: ContentStore, folder: Path, now: datetime) -> Backup:
    copy_database(database, folder / _DATABASE)
    store = Store(f"sqlite:///{folder / _DATABASE}")
    try:
        copies = ContentStore(folder / _CONTENT)
        for sha256 in _needed(store):
            with suppress(FileNotFoundError):  # the check below says which
                _link_or_copy(content.path(sha256), copies.path(sha256))
        _sync_tree(folder)
        found = check_store(folder / _DATABASE, store, copies)
        if found.damage:
            raise StoreError(f"the database {database} is damaged: {found.damage[0]}; run `postmottak db check`")
        messages = store.views.counts().messages
    finally:
        store.close()
    backup = Backup(made_at=now.isoformat(), messages=messages, files=found.files, faults=tuple(found.faults))
    (folder / _MANIFEST).write_text(json.dumps(asdict(backup), indent=2) + "\n", encoding="utf-8")
    _sync(folder / _MANIFEST)
    _sync(folder)
    return backup


def restore_backup(folder: Path, database: Path, content: ContentStore, now: datetime, *, replace: bool) -> Soundness:
    """Put a backup in the place of the store; call it with the store's lock. Returns what a check of the restored store found.

    The database goes last and by one rename, so a restore that breaks off can be repeated. With `replace`, a database that is there is
    put aside, under a name with the time; nothing is removed. Raises OperatorError or StoreError, and then the old database is in place.
    """
    _check_backup(folder)
    there = [path for path in (database.with_name(database.name + end) for end in _BESIDE) if path.exists()]
    if database.exists() and not replace:  # a journal without its database is a remnant, and goes aside in any case
        raise OperatorError(f"{database} is there already; to put it aside and take the backup instead, say --replace")
    saved = folder / _CONTENT
    for path in sorted(saved.glob("??/*")):
        with path.open("rb") as file:
            content.put(iter(lambda: file.read(_BLOCK), b""))  # read at once
    temporary = database.with_name(f".{database.name}.restored")
    temporary.unlink(missing_ok=True)
    copy_database(folder / _DATABASE, temporary)
    for path in there:
        path.rename(path.with_name(path.name.replace(database.name, f"{database.name}.replaced-{now:%Y%m%d-%H%M%S}")))
    temporary.rename(database)
    _sync(database.parent)
    store = Store(f"sqlite:///{database}")
    try:
        return check_store(database, store, content)
    finally:
        store.close()


def _check_backup(folder: Path) -> None:
    if not (folder / _MANIFEST).is_file():
        raise OperatorError(f"{folder} is no backup, or one that was never finished: there is no {_MANIFEST} in it; name another folder")
    if found := damage(folder / _DATABASE):
        raise OperatorError(f"the database in {folder} is damaged: {found[0]}; take another backup")


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise OperatorError(f"the folder {folder} cannot be made: {error.strerror}; name another one") from error
    if not empty:
        raise OperatorError(f"{folder} is not empty; name a folder that is, or that there is not yet")


def _needed(store: Store) -> Iterator[str]:
    for prefix in PREFIXES:
        yield from store.retention.needed(prefix)


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True, mode=0o700)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        _sync(target)


def _sync_tree(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
