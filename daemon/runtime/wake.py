"""Wakes the service from another process, so that what was asked for begins at once.

The sign is a file in a folder of its own beside the database: a watch on the database's own folder
would fire at every commit. Nothing depends on it. Without it, the service looks once a minute.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler

from daemon.runtime.folder_watch import FolderWatcher
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.owner import make_folder, open_file

_log = structlog.get_logger(__name__)
WAKE = "wake"  # the name of its heartbeat
_LOOK = 30.0  # seconds between checks whether the folder is still the one that is watched
_LOOK_UNWATCHED = 1.0  # seconds between looks at the file, where the system allows no watch
_HARMLESS = frozenset({"opened", "closed_no_write", "deleted"})


def wake_service(database: Path) -> None:
    """Make a running service look at once for deliveries that are due, and for edits.

    Call it after the change is committed. Does nothing without a service; never raises, because
    the service finds the change within a minute by itself.
    """
    try:
        # the folder is the service's: a link there must lead nowhere when root runs this
        descriptor = open_file(_file(database), os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # no service has run here
    except OSError as error:
        _log.warning("the service begins within a minute only", reason=error.strerror)
        return
    with suppress(OSError):
        os.utime(descriptor)
    os.close(descriptor)


def _file(database: Path) -> Path:
    return database.with_name(f"{database.name}.wake") / "wake"


class WakeWatch:
    """Waits for `wake_service`, in a thread of its own."""

    def __init__(self, database: Path, woken: Callable[[], None], heartbeats: Heartbeats) -> None:
        """`woken` is called for each sign, from the thread that waits."""
        self._file = _file(database)
        self._woken, self._heartbeats = woken, heartbeats
        self._rung = threading.Event()
        self._folders = FolderWatcher(_Signs(self._file.name, self._rung.set))
        self._reported = False
        self._seen = self._time()

    @property
    def unwatched(self) -> str:
        """Why the folder is not watched, so that a sign is noticed later; empty if it is.

        May be read from any thread.
        """
        return self._folders.unwatched

    def loop(self, stopping: threading.Event) -> None:
        """Wait for signs until `stopping` is set and `wake` is called."""
        try:
            while not stopping.is_set():
                watched = self._watch()
                self._heartbeats.beat_for_wait(WAKE, _LOOK)
                # a sign before the watch began went unnoticed
                rung = self._time() not in (self._seen, None) or self._rung.wait(
                    _LOOK if watched else _LOOK_UNWATCHED
                )
                self._rung.clear()
                if rung and not stopping.is_set():
                    self._seen = self._time()
                    self._woken()
        finally:
            self._folders.stop()

    def wake(self) -> None:
        """Let the loop notice that it must stop."""
        self._rung.set()

    def _watch(self) -> bool:
        """Watch the folder, which is made if it is missing. Returns whether it is watched."""
        try:
            make_folder(self._file.parent)
        except OSError as error:
            if not self._reported:
                _log.warning(
                    "what is asked of the service begins within a minute only",
                    folder=str(self._file.parent),
                    reason=error.strerror,
                )
            self._reported = True
            return False
        self._reported = False
        self._folders.keep([self._file.parent])
        return not self.unwatched

    def _time(self) -> int | None:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return None


class _Signs(FileSystemEventHandler):
    """Reports changes of one file, also of its time alone."""

    def __init__(self, name: str, report: Callable[[], None]) -> None:
        self._name, self._report = name, report

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in _HARMLESS and Path(str(event.src_path)).name == self._name:
            self._report()
