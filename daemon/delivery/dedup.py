"""Removes the deduplication records at destinations once the results of deliveries are stored.

That includes records that an earlier process left because it was killed, and those of letters that
go elsewhere by now.
"""

from __future__ import annotations

import threading
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
# records that are removed at a time: that costs nearly the same for one and for many
_AT_A_TIME = 32


class DedupCleanup:
    """Lets destinations remove the records of what is delivered.

    `flush` may be called from several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tried: set[str] = set()
        self._clear: set[str] = set()
        """Destinations, by name, that have no record left of an earlier process."""
        self._again = threading.Event()
        self._gathered: dict[str, list[UUID]] = defaultdict(list)
        """Deliveries whose result is stored, and whose records are not removed yet."""

    def untried(
        self, destinations: Mapping[str, Destination]
    ) -> Iterator[tuple[str, KeepsDedupRecords]]:
        """Yield destinations that may have records of an earlier process; each only once.

        Call it from one thread at a time.
        """
        if self._again.is_set():
            self._again.clear()
            self._tried.clear()
            self._clear.clear()
        for name, destination in destinations.items():
            if name not in self._tried and isinstance(destination, KeepsDedupRecords):
                self._tried.add(name)
                yield name, destination

    def try_again(self) -> None:
        """Note that another process may have left records. May be called from any thread."""
        self._again.set()

    def collect(self, name: str, delivery: UUID) -> None:
        """Note that a delivery's result is stored. Call it from the thread that calls `ready`."""
        self._gathered[name].append(delivery)

    def ready(
        self, destinations: Mapping[str, Destination], *, rest: bool
    ) -> Iterator[tuple[str, KeepsDedupRecords, Sequence[UUID]]]:
        """Yield the destinations to clean up now, and the deliveries whose records to remove.

        These are destinations with many such deliveries, or with `rest`, all of them.
        """
        for name in [
            name for name, some in self._gathered.items() if rest or len(some) >= _AT_A_TIME
        ]:
            delivered, destination = self._gathered.pop(name), destinations.get(name)
            if isinstance(destination, KeepsDedupRecords):
                yield name, destination, delivered

    def flush(
        self, name: str, destination: KeepsDedupRecords, delivered: Collection[UUID] = ()
    ) -> None:
        """Remove the records of these deliveries, and those of an earlier process if any are left.

        A record that cannot be removed does no harm, and is left to the next deliveries or the next
        start. Raises StoreError.
        """
        outcome = call_connector(
            partial(self._forget, name, destination, delivered), destination=name
        )
        if isinstance(outcome, PostmottakError):
            self._clear.discard(name)
            _log.info("traces of what is delivered are left", destination=name, reason=str(outcome))

    def _forget(
        self, name: str, destination: KeepsDedupRecords, delivered: Collection[UUID]
    ) -> None:
        left = (
            () if name in self._clear else self._store.outbox.final_of(destination.dedup_records())
        )
        destination.forget({*delivered, *left})
        self._clear.add(name)
