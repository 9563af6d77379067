"""Folders that are watched for changes, and stay so: an emitter of watchdog dies with its folder, and does not say so.

A folder that is removed and made again, or that something is mounted on, is another folder under the same name; `keep` sees that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

_log = structlog.get_logger(__name__)
_Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class _Watched:
    watch: ObservedWatch
    identity: _Identity


class FolderWatch:
    """Tells `handler` of changes in folders, not of those in folders below. For one thread; `handler` is called from others."""

    def __init__(self, handler: FileSystemEventHandler) -> None:
        self._handler = handler
        self._observer = Observer()
        self._watched: dict[Path, _Watched] = {}
        self._refused: set[Path] = set()

    def keep(self, folders: Collection[Path]) -> bool:
        """Watch these folders and no others. Call it now and then. A folder that is not there is watched when it is.

        Returns whether the watching of one was begun (anew): nobody saw what happened in it until now.
        """
        if not self._observer.is_alive():
            self._observer.start()
        alive = {emitter.watch for emitter in self._observer.emitters if emitter.is_alive()}
        for folder, watched in list(self._watched.items()):
            if folder not in folders or watched.watch not in alive or watched.identity != _identity(folder):
                self._observer.unschedule(self._watched.pop(folder).watch)
        begun = [self._begin(folder) for folder in folders if folder not in self._watched]
        self._refused &= set(folders)
        return any(begun)

    def stop(self) -> None:
        """Watch nothing any more. Call it once, after the last `keep`."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def _begin(self, folder: Path) -> bool:
        identity = _identity(folder)
        if identity is None:
            return False
        try:
            watch = self._observer.schedule(self._handler, str(folder))
        except OSError as error:  # the folder is gone in this very moment, or the system allows no more watches
            if folder not in self._refused:
                _log.warning("changes in a folder are noticed late only", folder=str(folder), reason=error.strerror)
                self._refused.add(folder)
            return False
        self._refused.discard(folder)
        self._watched[folder] = _Watched(watch, identity)
        return True


def _identity(folder: Path) -> _Identity | None:
    """What tells a folder from another one of the same name; None if there is no folder."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if folder.is_dir() else None
