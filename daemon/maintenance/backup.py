"""Backup to a folder, and restore: the database as it was at one moment, and the files it needs.

    FOLDER/postmottak.db     the database as it was when the backup began
    FOLDER/content/          the attachments' bytes; hard links where the file system allows it, to
                             the store or to the newest backup in the same parent folder. Missing
                             where they are in a bucket, which its own versions keep
    FOLDER/journal-head.json the signed head of its journal; missing if there is no key to sign with
    FOLDER/backup.json       written last: a folder without it is not a backup

After a restore the ids of letters and deliveries are the same, because they are derived, so a
repeated delivery is recognisable as a repeat.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from daemon.core.callbacks import do_nothing
from daemon.core.durable_files import new_file, sync
from daemon.core.errors import OperatorError, StoreError
from daemon.maintenance.earlier_backup import (
    CONTENT,
    MANIFEST,
    EarlierBackup,
    earlier_backup,
    sync_folders,
)
from daemon.maintenance.integrity import IntegrityReport, Report, check_store
from daemon.store import Store
from daemon.store.content import ContentStore
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.key import key_path, read_key
from daemon.store.snapshot import take_snapshot
from daemon.store.sqlite_file import BESIDE, copy_database, corruption, roll_back

_DATABASE = "postmottak.db"
_HEAD = "journal-head.json"
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Backup:
    """The content of a backup."""

    made_at: str
    messages: int
    files: int
    faults: tuple[str, ...] = ()
    """Files that were missing or damaged in the store already."""
    content: str = ""
    """The bucket that has the attachments; empty if they are in the backup."""
    unchanged: int = 0
    """Files that the newest backup beside this one had verified, and that were not read again."""


def make_backup(  # the store, where to, when, and how
    database: Path,
    content: ContentStore,
    folder: Path,
    now: datetime,
    *,
    full: bool = False,
    report: Report = do_nothing,
) -> Backup:
    """Write a backup to a folder that is new or empty, durably, and check it.

    Files that the newest complete backup in the same parent folder has are taken from there, and
    are read and checked again only if it is to be `full`. `report` is called regularly with what is
    being done. Raises OperatorError or StoreError, and leaves nothing then. May be called beside a
    running service.
    """
    _make_empty(folder)
    earlier = None if full else earlier_backup(folder)
    try:
        with content.guarded(alone=False):
            take_snapshot(database, folder / _DATABASE, report)
            return _Making(database, content, folder, earlier, report).make(now)
    except OSError as error:
        _clear(folder)
        raise StoreError(f"the backup {folder} cannot be written: {error.strerror}") from error
    except BaseException:
        _clear(folder)
        raise


@dataclass(frozen=True)
class _Making:
    """A backup under way, which has its database."""

    database: Path
    content: ContentStore
    folder: Path
    earlier: EarlierBackup | None
    report: Report

    def make(self, now: datetime) -> Backup:
        """Copy the files, check everything, and write the last file."""
        store = Store(f"sqlite:///{self.folder / _DATABASE}", alone=True)
        try:
            store.sessions.end_everywhere()  # a restored store logs nobody in
            unchanged = 0
            if isinstance(self.content, ContentFolder):
                copies = ContentFolder(self.folder / CONTENT)
                unchanged = self._copy(store, self.content, copies)
                found = self._check(store, copies)
            else:
                sync(self.folder)
                found = self._sound(
                    check_store(
                        self.folder / _DATABASE,
                        store,
                        self.content,
                        self.report,
                        _listed(self.content),
                    )
                )
            messages = store.queries.counts().messages
            self._write_head(store, now)
        finally:
            store.close()
        # empty since the commit above
        (self.folder / f"{_DATABASE}-journal").unlink(missing_ok=True)
        backup = Backup(
            made_at=now.isoformat(),
            messages=messages,
            files=found.files,
            faults=tuple(found.faults),
            content="" if isinstance(self.content, ContentFolder) else self.content.place,
            unchanged=unchanged,
        )
        sync(self.folder.absolute().parent)
        with new_file(self.folder / MANIFEST, 0o600) as file:
            file.write(json.dumps(asdict(backup), indent=2).encode() + b"\n")
        return backup

    def _write_head(self, store: Store, now: datetime) -> None:
        path = key_path(self.database)
        if path.exists():
            head = store.journal.head(read_key(path), now)
            with new_file(self.folder / _HEAD, 0o600) as file:
                file.write(head.text().encode())

    def _copy(self, store: Store, content: ContentFolder, copies: ContentFolder) -> int:
        """Copy or link each file. Returns how many the earlier backup had."""
        unchanged = 0
        for number, (sha256, _) in enumerate(store.retention.all_needed()):
            self.report(f"copying the attachments, {number} copied")
            stored, copy = content.path(sha256), copies.path(sha256)
            if self.earlier and self.earlier.take_over(sha256, stored, copy):
                unchanged += 1
                continue
            with suppress(FileNotFoundError):  # the check reports it
                _link_or_copy(stored, copy)
        sync_folders(self.folder / CONTENT)
        sync(self.folder)
        return unchanged

    def _check(self, store: Store, copies: ContentFolder) -> IntegrityReport:
        def is_known(sha256: str) -> bool:
            return bool(self.earlier and self.earlier.has(sha256, copies.path(sha256)))

        return self._sound(
            check_store(self.folder / _DATABASE, store, copies, self.report, is_known)
        )

    def _sound(self, found: IntegrityReport) -> IntegrityReport:
        if found.corruption:
            raise StoreError(
                f"the database {self.database} is damaged: {found.corruption[0]}; run `postmottak "
                "db check`"
            )
        return found


def restore_backup(
    folder: Path, database: Path, content: ContentStore, now: datetime, *, replace: bool
) -> IntegrityReport:
    """Restore a backup in the place of the store; the caller holds the store's lock.

    Returns the result of a check of the restored store. The database is written last, by one
    rename, so an interrupted restore can be repeated. With `replace`, an existing database is moved
    aside, to a name with the time; nothing is removed. Raises OperatorError or StoreError.
    """
    _check_backup(folder, content)
    # a journal without its database is a remnant, and is always moved aside
    if database.exists() and not replace:
        raise OperatorError(
            f"{database} exists already; to move it aside and restore the backup, use --replace"
        )
    try:
        _put_back(folder, database, content, now)
    except OSError as error:
        what = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        raise StoreError(
            f"the backup {folder} cannot be restored: {what}; fix that, and run the command again"
        ) from error
    store = Store(f"sqlite:///{database}", alone=True)
    try:
        return check_store(database, store, content, is_known=_listed(content))
    finally:
        store.close()


def _put_back(folder: Path, database: Path, content: ContentStore, now: datetime) -> None:
    content.remove_temporaries()
    for path in sorted((folder / CONTENT).glob("??/*")):
        with path.open("rb") as file:
            content.put(iter(lambda: file.read(_BLOCK), b""))  # read at once
    temporary = database.with_name(f".{database.name}.restored")
    temporary.unlink(missing_ok=True)
    copy_database(folder / _DATABASE, temporary)
    try:
        _put_aside(database, now)
        temporary.rename(database)
    finally:
        temporary.unlink(missing_ok=True)
    sync(database.parent)


def _put_aside(database: Path, now: datetime) -> None:
    """Rename the existing database and its journals to unused names with the time."""
    roll_back(database)
    name = f"{database.name}.replaced-{now:%Y%m%d-%H%M%S}"
    if any(each.name.startswith(name) for each in database.parent.iterdir()):
        name += f"-{now:%f}"
    for end in BESIDE:
        with suppress(FileNotFoundError):
            database.with_name(database.name + end).rename(database.with_name(name + end))


def _listed(content: ContentStore) -> Callable[[str], bool]:
    """Return what says that bytes are there and need not be read: those that a bucket lists.

    A bucket compares what it keeps with its checksums itself, and to read it all costs money.
    """
    if isinstance(content, ContentFolder):
        return lambda _: False
    kept = lru_cache(maxsize=1)(content.kept)
    return lambda sha256: sha256 in kept(sha256[:2])


def _check_backup(folder: Path, content: ContentStore) -> None:
    if not (folder / MANIFEST).is_file():
        raise OperatorError(
            f"{folder} is not a backup, or not a complete one: it has no {MANIFEST}; name "
            "another folder"
        )
    bucket = _bucket_of(folder / MANIFEST)
    if bucket and isinstance(content, ContentFolder):
        raise OperatorError(
            f"the attachments of the backup {folder} are in {bucket}, and [store] content is a "
            f'folder; write content = "{bucket}", or the address of a copy of it'
        )
    if found := corruption(folder / _DATABASE):
        raise OperatorError(f"the database in {folder} is damaged: {found[0]}; take another backup")


def _bucket_of(manifest: Path) -> str:
    """Return the bucket that has a backup's attachments; empty if they are in the backup."""
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        return str(found.get("content", ""))
    except (ValueError, AttributeError) as error:
        raise OperatorError(f"{manifest} is damaged; take another backup") from error


def _make_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise OperatorError(
            f"the folder {folder} cannot be created: {error.strerror}; name another one"
        ) from error
    if there and there <= {_DATABASE, CONTENT, _HEAD}:
        raise OperatorError(
            f"{folder} holds an incomplete backup; remove it, or name another folder"
        )
    if there:
        raise OperatorError(f"{folder} is not empty; choose an empty or a new folder")


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True, mode=0o700)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        with (
            source.open("rb") as here,
            os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as there,
        ):
            # only the user who makes the backup can read it, whatever the umask
            shutil.copyfileobj(here, there)
        sync(target)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
