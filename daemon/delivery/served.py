"""Which destinations this node serves, and how much of what each takes at a time is its share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, runtime_checkable

from daemon.core.node_role import NodeRole
from daemon.core.ports import BatchDestination, Destination
from daemon.delivery.snapshot import Snapshot
from daemon.delivery.throttle import CONCURRENCY
from daemon.store import Outbox


@runtime_checkable
class OneAtATime(Protocol):
    """A destination that several processes cannot always deliver to at once."""

    one_process: bool
    """Whether only one process at a time may, on whatever machine."""


class ServedDestinations:
    """What is left to other nodes: a destination of their machines, or one whose turn is theirs.

    Where a store has one process, that is nothing. For one thread.
    """

    def __init__(self, role: NodeRole) -> None:
        self._role = role
        self.elsewhere: Collection[str] = ()
        """The destinations for which this node claims nothing now."""

    def look(self, snapshot: Snapshot) -> None:
        """See what is to be left to others. Raises StoreError."""
        if not self._role.node:
            return
        wanted = _nodes_of(snapshot)
        self.elsewhere = frozenset(
            name
            for name, destination in snapshot.destinations.items()
            if not self._is_own(name, wanted.get(name, ()), destination)
        )

    def _is_own(self, name: str, wanted: Collection[str], destination: Destination) -> bool:
        if wanted and self._role.node not in wanted:
            return False
        if isinstance(destination, OneAtATime) and destination.one_process:
            return self._role.has(f"drop:{name}")
        return True

    def next_due(self, outbox: Outbox, paused: Collection[str]) -> datetime | None:
        """Return when the next delivery is due that is not left to others, nor `paused`."""
        return outbox.next_due(exclude=[*paused, *self.elsewhere])

    def limits(self, snapshot: Snapshot) -> Mapping[str, int]:
        """Return how many deliveries may be in flight from here at each destination.

        What a receiver takes at a time is divided among the living nodes that serve it. How many
        letters a drop takes together is not limited so.
        """
        living, wanted = self._role.living(), _nodes_of(snapshot)
        limits: dict[str, int] = {}
        for name, destination in snapshot.destinations.items():
            if isinstance(destination, BatchDestination):
                limits[name] = destination.concurrency
                continue
            among = [each for each in living if each in wanted.get(name, living)]
            limits[name] = max(1, CONCURRENCY // max(1, len(among)))
        return limits


def _nodes_of(snapshot: Snapshot) -> Mapping[str, Collection[str]]:
    """Return the nodes of each destination that is not every node's."""
    configured = snapshot.configuration.destinations
    return {each.name: each.settings.nodes for each in configured if each.settings.nodes}
