"""Destinations that keep traces of deliveries are told when these have ended, also if an earlier process was killed before it could."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from uuid import UUID

import structlog

from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.ports import Destination, KeepsDedupRecords
from daemon.store import Store

_log = structlog.get_logger(__name__)
# deliveries of which a destination is told at a time: that costs nearly the same for one and for
# many
_TOLD_OF = 32


class DedupCleanup:
    """Has destinations remove the traces of what is delivered.

    `flush` may be called from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tried: set[str] = set()
        self._clear: set[str] = set()
        """Destinations, by name, at which nothing is left of an earlier process."""
        self._gathered: dict[str, list[UUID]] = defaultdict(list)
        """Deliveries whose end is kept, and whose destinations are not told yet."""

    def untried(
        self, destinations: Mapping[str, Destination]
    ) -> Iterator[tuple[str, KeepsDedupRecords]]:
        """Destinations at which an earlier process may have left something; each only once.

        Call it from one thread at a time.
        """
        for name, destination in destinations.items():
            if name not in self._tried and isinstance(destination, KeepsDedupRecords):
                self._tried.add(name)
                yield name, destination

    def collect(self, name: str, delivery: UUID) -> None:
        """Note that a delivery's end is kept. Call it from the thread that calls `ready`."""
        self._gathered[name].append(delivery)

    def ready(
        self, destinations: Mapping[str, Destination], *, rest: bool
    ) -> Iterator[tuple[str, KeepsDedupRecords, Sequence[UUID]]]:
        """Destinations that are to be told now, and of what: they are told of many deliveries at a time, and of the `rest` in the end."""
        for name in [
            name for name, some in self._gathered.items() if rest or len(some) >= _TOLD_OF
        ]:
            delivered, destination = self._gathered.pop(name), destinations.get(name)
            if isinstance(destination, KeepsDedupRecords):
                yield name, destination, delivered

    def flush(
        self, name: str, destination: KeepsDedupRecords, delivered: Collection[UUID] = ()
    ) -> None:
        """Settle deliveries whose end is kept, and with them what an earlier process left, unless that is done.

        What cannot be settled does no harm, and is left to the next deliveries or the next start.
        Raises StoreError.
        """
        outcome = call_connector(
            partial(self._settle, name, destination, delivered), destination=name
        )
        if isinstance(outcome, PostmottakError):
            self._clear.discard(name)
            _log.info("traces of what is delivered are left", destination=name, reason=str(outcome))

    def _settle(
        self, name: str, destination: KeepsDedupRecords, delivered: Collection[UUID]
    ) -> None:
        left = (
            ()
            if name in self._clear
            else self._store.outbox.delivered_of(destination.dedup_records())
        )
        destination.forget({*delivered, *left})
        self._clear.add(name)
