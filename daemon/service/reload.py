"""An edit of the configuration's files becomes new parts, or the old ones stay.

Files are read whole, checked whole and swapped whole. What wakes it: watchdog's events on the
files' folders, SIGHUP, and a look of its own every half minute, which alone sees edits from another
machine and folders that were removed and made again; or every few seconds where nothing can be
watched.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from watchdog.events import FileModifiedEvent, FileSystemEvent, FileSystemEventHandler

from daemon.core.errors import ConfigurationError, Fault
from daemon.runtime.folder_watch import FolderWatcher

_log = structlog.get_logger(__name__)
_QUIET = 0.4  # seconds without an event before the files are read
_PATIENCE = 1.0  # seconds after which they are read although it never was quiet
_WRITER = 10.0  # seconds that a writer which holds a file open is waited for
LOOK = 30.0  # seconds between looks of its own
_LOOK_UNWATCHED = 3.0  # likewise, where the system lets nothing be watched
_COMINGS_AND_GOINGS = frozenset({"created", "moved", "deleted"})
_HARMLESS = frozenset({"opened", "closed_no_write"})  # reading the files causes them


class Reload:
    """Watches files, and hands on what they say when that has changed and is without a fault.

    `files` names the files to watch, asked anew after each change, and `texts` what they said when
    they were read for what is in force; `read_and_swap` reads them and puts them in force, or
    raises ConfigurationError and changes nothing. All are called from one thread; so is `beat`,
    before each wait of up to `LOOK` seconds.
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
        self._seen = tuple(
            texts()
        )  # and not what they say by now: an edit since then must not go unnoticed
        self.faults: tuple[Fault, ...] = ()
        """Those of an edit that is not in force; none if what the files say is. May be read from
        any thread.
        """

    @property
    def unwatched(self) -> str:
        """Why edits are noticed by looking only; empty if folders are watched.

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
        """Let the loop see that it is to stop."""
        self._events.wake_up()

    def _look(self) -> None:
        asked, self._asked = (
            self._asked,
            False,
        )  # before the files are read: who asks while they are is not forgotten
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
        self.faults = ()
        _log.info("an edit is in force")
        self._seen = tuple(self._texts())  # the files may have been edited while they were read

    def _read(self) -> tuple[str, ...]:
        """What the files say now; of one that cannot be read, why not."""
        found = []
        for path in self._files():
            try:
                found.append(path.read_text(encoding="utf-8-sig"))
            except (OSError, UnicodeDecodeError) as error:
                found.append(repr(error))
        return tuple(found)

    def _watch(self) -> None:
        """Have every folder of the files watched."""
        wanted = {
            folder
            for path in self._files()
            for folder in (path.parent.absolute(), _resolved(path).parent)
        }
        self._events.about(
            name for path in self._files() for name in (path.name, _resolved(path).name)
        )
        if self._folders.keep(wanted):
            self._events.wake_up()  # nobody saw what happened until now


def _resolved(path: Path) -> Path:
    """Where the path leads to.

    The path itself while it leads nowhere, in a circle, or is being swapped in this very moment.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # before Python 3.13, a circle is a RuntimeError
        return path.absolute()


class _FileEvents(FileSystemEventHandler):
    """What happened in the folders, boiled down to: something did, when last, and is one of our files still being written."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._names: frozenset[str] = frozenset()
        self._last = 0.0
        self._written = 0.0
        self._writing: set[str] = set()
        self._rung = False

    def about(self, names: Iterable[str]) -> None:
        """Name the files whose changes count.

        Of other files only their coming and going does, for symbolic links are swapped so.
        """
        found = frozenset(names)
        if found != self._names:
            self._names = found
            self.wake_up()  # what happened to a new one until now was not counted

    def wake_up(self) -> None:
        with self._changed:
            self._rung = True
            self._changed.notify_all()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _HARMLESS:
            return
        name = Path(str(event.src_path)).name
        with self._changed:
            is_ours = (
                name in self._names or name in self._writing
            )  # it may have ceased to be ours while it was being written
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
        """How long to go on waiting: until it has been quiet, and longer while a writer holds one of our files open."""
        now = time.monotonic()
        if self._writing:
            return (
                self._written + _WRITER - now
            )  # and not since whatever else came and went beside it
        return min(self._last + _QUIET, latest) - now
