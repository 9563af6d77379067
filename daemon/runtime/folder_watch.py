"""Watches folders, and goes on watching: a watchdog emitter dies silently with its folder.

A folder that is removed and made again, or that something is mounted on, is another folder with
the same name; `keep` notices that. Where the system allows no more watches (inotify(7): instances
and watches are limited for each user), nothing fails: `unwatched` says why, and the caller looks at
its folders more often.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_log = structlog.get_logger(__name__)
_Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class _Watched:
    watch: ObservedWatch
    identity: _Identity


class FolderWatcher:
    """Calls `handler` for changes in folders, but not in their subfolders.

    For one thread; `handler` is called from others.
    """

    def __init__(self, handler: FileSystemEventHandler) -> None:
        self._handler = handler
        self._observer: BaseObserver | None = None
        self.unwatched = ""
        """Why an existing folder is not watched; empty if all are. May be read from any thread."""
        self._refusal = ""
        self._watched: dict[Path, _Watched] = {}
        self._refused: set[Path] = set()

    def keep(self, folders: Collection[Path]) -> bool:
        """Watch these folders and no others.

        Call it now and then. A missing folder is watched once it exists.

        Returns whether a watch was begun, for the first time or again: what happened in that folder
        until now went unnoticed.
        """
        self._refusal = ""
        observer = self._observe(folders)
        begun = observer is not None and self._keep(observer, folders)
        self._refused &= set(folders)
        self.unwatched = self._refusal
        return begun

    def _keep(self, observer: BaseObserver, folders: Collection[Path]) -> bool:
        alive = {emitter.watch for emitter in observer.emitters if emitter.is_alive()}
        for folder, watched in list(self._watched.items()):
            if (
                folder not in folders
                or watched.watch not in alive
                or watched.identity != _identity(folder)
            ):
                observer.unschedule(self._watched.pop(folder).watch)
        begun = [self._begin(observer, folder) for folder in folders if folder not in self._watched]
        return any(begun)

    def stop(self) -> None:
        """Stop watching. Call it once, after the last `keep`."""
        if self._observer and self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def _observe(self, folders: Collection[Path]) -> BaseObserver | None:
        """Return the running observer; None if the system does not allow one now."""
        try:
            if self._observer is None or _has_died(self._observer):
                self._watched.clear()
                self._observer = Observer()
            if not self._observer.is_alive():
                self._observer.start()
        except (OSError, RuntimeError) as error:  # RuntimeError: no further thread
            for folder in folders:
                self._refuse(folder, error)
            return None
        return self._observer

    def _refuse(self, folder: Path, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self._refusal = reason
        if folder not in self._refused:
            _log.warning(
                "changes in a folder are noticed late only", folder=str(folder), reason=reason
            )
            self._refused.add(folder)

    def _begin(self, observer: BaseObserver, folder: Path) -> bool:
        identity = _identity(folder)
        if identity is None:
            return False
        try:
            watch = observer.schedule(self._handler, str(folder))
        except (OSError, RuntimeError) as error:
            # the folder has just gone, or the system allows no more watches
            self._refuse(folder, error)
            return False
        self._refused.discard(folder)
        self._watched[folder] = _Watched(watch, identity)
        return True


def _has_died(observer: BaseObserver) -> bool:
    return observer.ident is not None and not observer.is_alive()


def _identity(folder: Path) -> _Identity | None:
    """Return what tells a folder from another one of the same name; None if it does not exist."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if folder.is_dir() else None
