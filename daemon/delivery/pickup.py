"""Pickups: whether receivers have taken what was delivered to them.

The folders of drops on this machine are watched, and the others checked now and then. A check of
everything, once a minute, also finds what a watch cannot see: changes by another machine on a
share, or while no watch was active.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler

from daemon.core.connector_calls import call_connector
from daemon.core.errors import DiskFull, PostmottakError
from daemon.core.model import Delivery
from daemon.core.outside_values import text_from
from daemon.core.ports import AwaitsPickup, Destination, PickupState, ShowsPickup
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.runtime.folder_watch import FolderWatcher
from daemon.runtime.heartbeat import Heartbeats
from daemon.store import Store

_log = structlog.get_logger(__name__)
PICKUPS = "pickups"  # the name of its heartbeat


class Pickups:
    """Checks whether receivers have picked up what was delivered and awaits it."""

    def __init__(
        self,
        *,
        store: Store,
        active: ActiveSnapshot,
        clock: Callable[[], datetime],
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self._store, self._active, self._clock = store, active, clock
        self._heartbeats = heartbeats or Heartbeats()
        self.unseen: Mapping[str, str] = {}
        """Destinations at which pickups cannot be seen now, and why. Read from any thread."""

    def look(self, only: Collection[str] = ()) -> int:
        """Record what has been picked up or rejected since the last check.

        With `only`, at these destinations. May be called from several threads. Returns how many
        deliveries still wait. Raises StoreError.
        """
        unseen: dict[str, str] = {}
        with self._active.use() as snapshot:
            waiting = sum(
                not self._settled(delivery, snapshot.destinations.get(delivery.destination), unseen)
                for delivery in self._store.outbox.awaiting_pickup(only)
            )
        self._note(unseen, only)
        return waiting

    def _note(self, unseen: Mapping[str, str], only: Collection[str]) -> None:
        """Keep what could not be seen; what is new of that is logged once."""
        before = self.unseen
        others = {name: why for name, why in before.items() if only and name not in only}
        self.unseen = {**others, **unseen}
        for name, reason in unseen.items():
            if name not in before:
                _log.warning("pickup cannot be seen now", destination=name, reason=reason)

    def _settled(
        self, delivery: Delivery, destination: Destination | None, unseen: dict[str, str]
    ) -> bool:
        self._heartbeats.beat(PICKUPS)
        if not isinstance(destination, AwaitsPickup):
            return False
        about = {"delivery": str(delivery.id), "destination": delivery.destination}
        found = call_connector(partial(destination.pickup, delivery.evidence or {}), **about)
        if isinstance(found, PostmottakError):
            unseen[delivery.destination] = text_from(str(found))
            return False
        if found.state is PickupState.WAITING:
            return False
        rejected = found.state is PickupState.REJECTED
        reason = found.reason or "rejected without a reason" if rejected else None
        if self._store.outbox.picked_up(delivery.id, self._clock(), reason, if_awaited=True):
            _log.info(
                "rejected by the receiver" if rejected else "taken",
                delivery=str(delivery.id),
                destination=delivery.destination,
            )
        return True


_LOOK = 60.0  # seconds between checks of everything
_LOOK_UNWATCHED = 10.0  # the same, where the system allows no watches
_KEEP = 5.0  # seconds between checks whether the folders are still those that are watched
_QUIET = 0.2  # seconds in which changes are gathered
# the pause after a check, as a multiple of its duration, for a folder that changes all the time
_SHARE = 4
_HARMLESS = frozenset({"opened", "closed_no_write", "modified"})


class PickupWatch:
    """Checks for pickups in its own thread."""

    def __init__(self, pickups: Pickups, active: ActiveSnapshot, heartbeats: Heartbeats) -> None:
        self._pickups, self._active, self._heartbeats = pickups, active, heartbeats
        self._events = _PickupEvents()
        self._folders = FolderWatcher(self._events)
        self._looked_at: float | None = None

    def loop(self, stopping: threading.Event) -> None:
        """Check until `stopping` is set and `wake` is called; on a full disk, wait for room.

        Raises StoreError.
        """
        try:
            while not stopping.is_set():
                try:
                    self._round(stopping)
                except DiskFull as error:
                    _log.error("no pickup can be kept until there is room", reason=str(error))
                    self._heartbeats.beat_for_wait(PICKUPS, _LOOK)
                    stopping.wait(_LOOK)
        finally:
            self._folders.stop()

    @property
    def unwatched(self) -> str:
        """Why folders are not watched, so that pickups are noticed later; empty if they are.

        May be read from any thread.
        """
        return self._folders.unwatched

    def wake(self) -> None:
        """Let the loop notice that it must stop."""
        self._events.wake_up()

    def _round(self, stopping: threading.Event) -> None:
        self._heartbeats.beat(PICKUPS)
        began = time.monotonic()
        owners = self._owners()
        begun = self._folders.keep(owners)
        longest = min(_LOOK, _LOOK_UNWATCHED) if self.unwatched else _LOOK
        everything = begun or self._looked_at is None or began - self._looked_at >= longest
        changed = {name for folder in self._events.take() for name in owners.get(folder, ())}
        if everything:
            self._pickups.look()
            self._looked_at = time.monotonic()
        elif changed:
            self._pickups.look(changed)
        pause = max(_QUIET, _SHARE * (time.monotonic() - began))
        self._heartbeats.beat_for_wait(PICKUPS, _KEEP + pause)
        self._events.wait(_KEEP)
        if self._events.waiting:
            stopping.wait(pause)

    def _owners(self) -> dict[Path, list[str]]:
        """Return the folders to watch, and the destinations that they belong to."""
        owners: dict[Path, list[str]] = {}
        with self._active.use() as snapshot:
            for name, destination in snapshot.destinations.items():
                folder = destination.pickup_folder if isinstance(destination, ShowsPickup) else None
                if folder:
                    owners.setdefault(folder, []).append(name)
        return owners


class _PickupEvents(FileSystemEventHandler):
    """Collects the folders in which something happened."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._lock = threading.Lock()
        self._changed: set[Path] = set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _HARMLESS:
            return
        with self._lock:
            self._changed |= {
                Path(str(path)).parent for path in (event.src_path, event.dest_path) if path
            }
        self._rung.set()

    @property
    def waiting(self) -> bool:
        """Whether something happened since the last `take`."""
        with self._lock:
            return bool(self._changed)

    def take(self) -> set[Path]:
        """Return the folders in which something happened since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def wake_up(self) -> None:
        """End a wait."""
        self._rung.set()

    def wait(self, timeout: float) -> None:
        """Sleep until something happens, or for `timeout` seconds."""
        self._rung.wait(timeout)
        self._rung.clear()
