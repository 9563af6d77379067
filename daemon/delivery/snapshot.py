"""The configuration, the routing table and the destinations in use, replaced as one.

A round of work takes the snapshot once and passes it on, so that one attempt sees one configuration
from its beginning to its end. An edit replaces the snapshot by a single assignment. A destination
that the edit replaced is closed as soon as no work that began before the edit can still be using
it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import structlog

from daemon.config.loader import Configuration
from daemon.core.ports import Destination
from daemon.routing.table import Table

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The configuration, routing table and destinations of one round of work."""

    configuration: Configuration
    table: Table
    destinations: Mapping[str, Destination]


class SnapshotUse:
    """Work that uses a snapshot, from the creation of this object until its `with` block ends.

    No destination that was active at any moment of that time is closed before the block ends; with
    `only`, that holds for this one destination.
    """

    def __init__(self, active: ActiveSnapshot, snapshot: Snapshot, only: object | None) -> None:
        self.snapshot = snapshot
        self._active, self._only = active, only

    def concerns(self, destination: Destination) -> bool:
        """Whether the work may be using this destination."""
        return self._only is None or self._only is destination

    def __enter__(self) -> Snapshot:
        """Return the snapshot."""
        return self.snapshot

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the use, and close what was waiting for it."""
        self._active.end(self)


@dataclass(frozen=True, kw_only=True)
class _Retired:
    """A destination that is to be closed, and the work that may still be using it."""

    destination: Destination
    uses: set[SnapshotUse] = field(default_factory=set)


class ActiveSnapshot:
    """The snapshot in use. Every method may be called from any thread."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._lock = threading.Lock()
        self._uses: set[SnapshotUse] = set()
        self._retired: list[_Retired] = []

    def snapshot(self) -> Snapshot:
        """Return the active snapshot. Use its destinations within a `use` block only."""
        return self._snapshot

    def configuration(self) -> Configuration:
        """Return the active configuration."""
        return self._snapshot.configuration

    def table(self) -> Table:
        """Return the active routing table."""
        return self._snapshot.table

    def destinations(self) -> Mapping[str, Destination]:
        """Return the active destinations by name. Use them within a `use` block only."""
        return self._snapshot.destinations

    def use(self, only: object | None = None) -> SnapshotUse:
        """Begin to use the active snapshot; with `only`, a single destination of a use in progress.

        The use begins now, not when its `with` block is entered, so that one thread can begin it
        and another one end it.
        """
        with self._lock:
            use = SnapshotUse(self, self._snapshot, only)
            self._uses.add(use)
            for each in self._retired:
                if each.destination is only:  # replaced after the use in progress had begun
                    each.uses.add(use)
        return use

    def end(self, use: SnapshotUse) -> None:
        """End a use, and close the destinations that were waiting for nothing else."""
        with self._lock:
            self._uses.discard(use)
            for each in self._retired:
                each.uses.discard(use)
        self._close_unused()

    def replace(self, snapshot: Snapshot) -> None:
        """Make `snapshot` the active one; close destinations that it no longer has once unused."""
        kept = {id(each) for each in snapshot.destinations.values()}
        with self._lock:
            before, self._snapshot = self._snapshot, snapshot
            self._retired += [
                _Retired(destination=each, uses={use for use in self._uses if use.concerns(each)})
                for each in before.destinations.values()
                if id(each) not in kept
            ]
        self._close_unused()

    def close(self) -> None:
        """Close every destination, used or not; those already closed are left alone."""
        with self._lock:
            retired, self._retired = [each.destination for each in self._retired], []
            destinations = [*retired, *self._snapshot.destinations.values()]
        _close(destinations)

    def _close_unused(self) -> None:
        with self._lock:
            unused = [each for each in self._retired if not each.uses]
            self._retired = [each for each in self._retired if each.uses]
        _close([each.destination for each in unused])


def _close(destinations: list[Destination]) -> None:
    for destination in destinations:
        try:
            destination.close()
        except Exception:  # noqa: BLE001  # a fault of one connector must not stop the others
            _log.exception("the connector failed unexpectedly", destination=destination.name)
