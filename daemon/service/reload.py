"""Puts an edit of the configuration's files into effect, or keeps the old configuration.

All files are read, checked and swapped together. This happens after watchdog's events on the files'
folders, after SIGHUP, and after a check every half minute, which alone notices edits from another
machine and folders that were removed and created again; or every few seconds where the system
allows no watches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from watchdog.events import FileModifiedEvent, FileSystemEvent, FileSystemEventHandler

from daemon.core.bounded_file import read_text_bounded
from daemon.core.errors import ConfigurationError, DiskFull, Fault
from daemon.runtime.folder_watch import FolderWatcher

_log = structlog.get_logger(__name__)
_QUIET = 0.4  # seconds without an event before the files are read
_PATIENCE = 1.0  # seconds after which they are read even if events go on
_WRITER = 10.0  # seconds to wait for a program that has a file open for writing
LOOK = 30.0  # seconds between checks without an event
_LOOK_UNWATCHED = 3.0  # the same, where the system allows no watches
_COMINGS_AND_GOINGS = frozenset({"created", "moved", "deleted"})
_HARMLESS = frozenset({"opened", "closed_no_write"})  # reading the files causes them


class Reload:
    """Watches files, and puts their content into effect when it has changed and has no faults.

    `files` returns the files to watch, and is called again after each change; `texts` returns their
    texts in the active configuration. `read_and_swap` reads and activates them, or raises
    ConfigurationError and changes nothing. All are called from one thread; so is `beat`, before
    each wait of up to `LOOK` seconds.
    """

    def __init__(
        self,
        files: Callable[[], Iterable[Path]],
        texts: Callable[[], Iterable[str]],
        read_and_swap: Callable[[], None],
        *,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._files, self._texts = files, texts
        self._read_and_swap = read_and_swap
        self._beat = beat
        self._events = _FileEvents()
        self._folders = FolderWatcher(self._events)
        self._asked = False
        # not the files' present text: an edit since they were read must not go unnoticed
        self._seen = tuple(texts())
        self.faults: tuple[Fault, ...] = ()
        """Those of an edit that was ignored; empty if the files' text is active. May be read from
        any thread.
        """

    @property
    def unwatched(self) -> str:
        """Why folders are not watched, so that edits are noticed later; empty if they are.

        May be read from any thread.
        """
        return self._folders.unwatched

    def current_faults(self) -> tuple[Fault, ...]:
        """Return `faults` as they are now."""
        return self.faults

    def ask(self) -> None:
        """Read the files soon, whether or not they have changed.

        Returns at once, and may be called from a signal handler.
        """
        self._asked = True
        self._events.wake_up()

    def loop(self, stopping: threading.Event) -> None:
        """Watch until `stopping` is set and `wake` is called."""
        try:
            while not stopping.is_set():
                self._watch()
                self._beat()
                self._events.wait(_LOOK_UNWATCHED if self.unwatched else LOOK)
                if not stopping.is_set():
                    self._look()
        finally:
            self._folders.stop()

    def wake(self) -> None:
        """Look soon whether the files have changed, or whether to stop."""
        self._events.wake_up()

    def _look(self) -> None:
        # before the files are read, so that a request while they are read is not lost
        asked, self._asked = self._asked, False
        found = self._read()
        if found == self._seen and not asked:
            return
        self._seen = found
        try:
            self._read_and_swap()
        except ConfigurationError as error:
            self.faults = error.faults
            for fault in error.faults:
                _log.error("an edit is not in force", fault=str(fault))
            return
        except DiskFull as error:
            _log.error("an edit is not in force until there is room", reason=str(error))
            self._asked = True
            return
        self.faults = ()
        _log.info("an edit is in force")
        self._seen = tuple(self._texts())  # the files may have been edited while they were read

    def _read(self) -> tuple[str, ...]:
        """Return the texts of the files now; of one that cannot be read, the reason."""
        found = []
        for path in self._files():
            try:
                found.append(read_text_bounded(path))
            except (OSError, UnicodeDecodeError) as error:
                found.append(repr(error))
        return tuple(found)

    def _watch(self) -> None:
        """Watch every folder of the files."""
        wanted = {
            folder
            for path in self._files()
            for folder in (path.parent.absolute(), _resolved(path).parent)
        }
        self._events.about(
            name for path in self._files() for name in (path.name, _resolved(path).name)
        )
        if self._folders.keep(wanted):
            self._events.wake_up()  # changes before the watch began went unnoticed


def _resolved(path: Path) -> Path:
    """Return the path that this one leads to.

    Return the path itself while it leads nowhere or in a circle, or is just being replaced.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # before Python 3.13, a circle is a RuntimeError
        return path.absolute()


class _FileEvents(FileSystemEventHandler):
    """Reduces events to: has something happened, when was the last, is a file still being written.

    Only our files and links to them count.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._names: frozenset[str] = frozenset()
        self._last = 0.0
        self._written = 0.0
        self._writing: set[str] = set()
        self._rung = False

    def about(self, names: Iterable[str]) -> None:
        """Name the files whose changes count.

        Other files count only when they are created, moved or deleted: symbolic links are replaced
        that way.
        """
        found = frozenset(names)
        if found != self._names:
            self._names = found
            self.wake_up()  # earlier changes of a new file were not counted

    def wake_up(self) -> None:
        with self._changed:
            self._rung = True
            self._changed.notify_all()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _HARMLESS:
            return
        name = Path(str(event.src_path)).name
        with self._changed:
            # it may have ceased to be ours while it was being written
            is_ours = name in self._names or name in self._writing
            if not is_ours and event.event_type not in _COMINGS_AND_GOINGS:
                return
            self._last = time.monotonic()
            if is_ours and isinstance(event, FileModifiedEvent):
                self._writing.add(name)
                self._written = self._last
            else:
                self._writing.discard(name)
            self._rung = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> None:
        """Sleep until something happened and is over, or for `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung, timeout)
            latest = time.monotonic() + _PATIENCE
            while (pause := self._pause(latest)) > 0:
                self._changed.wait(pause)
            self._rung = False
            self._writing.clear()

    def _pause(self, latest: float) -> float:
        """Return how many seconds to go on waiting.

        Until there are no more events, and longer while a program has one of our files open for
        writing.
        """
        now = time.monotonic()
        if self._writing:
            return self._written + _WRITER - now  # events of other files do not extend it
        return min(self._last + _QUIET, latest) - now
